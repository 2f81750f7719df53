import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import type { Context } from 'hono';
import type { MemoryName, MemoryWrite } from '../../workflows/memory-contract.ts';
import { entryOf, MAX_VALUE_BYTES } from '../../workflows/memory-state.ts';
import type { MemoryChange } from '../../workflows/memory-state.ts';
import type { AppDeps } from '../deps.ts';
import { ApiError, errorHandler, notSeen } from '../errors.ts';
import { HEARTBEAT_MS, openStream } from '../event-stream.ts';
import { invalid, jsonBody, queryOf } from '../json-body.ts';
import { lastEventIdOf } from '../log-request.ts';
import type { MemoryEvent } from '../memory-changes.ts';
import { memoryFilterOf, memoryHistoryOf } from '../memory-filter.ts';
import { getMemoryRequest, memoryListQuery, setMemoryRequest } from '../memory-schemas.ts';
import { memoriesInReach, memoryMeant } from '../memory-scope.ts';
import { valueView } from '../memory-view.ts';
import { identifier } from '../request-headers.ts';
import { HEARTBEAT, sseEvent } from '../sse.ts';

/** The revision that a write made, also where the answer has no body. */
const REV_HEADER = 'Perdure-Memory-Rev';
const RETRY_AFTER_S = 2;

/** What agents remember, in AgentField's shapes. */
export function memoryRoutes(deps: AppDeps): Hono {
  const { memories, memoryChanges, logger } = deps;
  const app = new Hono();
  // AgentField's memory says `message` beside `error` and `code`.
  app.onError(errorHandler(logger, (err) => ({ message: err.message })));

  app.post('/memory/set', async (c) => {
    const { key, data, ...asked } = await jsonBody(c, setMemoryRequest);
    if (Buffer.byteLength(JSON.stringify(data)) > MAX_VALUE_BYTES)
      throw new ApiError('memory_value_too_large', `a value has at most ${MAX_VALUE_BYTES} bytes as JSON`);
    const name = memoryMeant(c, asked);
    const change = await write(name, { action: 'set', key, data, ...writeOf(c) });
    if (!change) throw notSeen();
    const { rev, at, createdAt = at } = change;
    c.header(REV_HEADER, String(rev));
    // Not what is there now, which may be another one's by now: what this request wrote.
    return c.json(valueView(name, key, { data, rev, createdAt, updatedAt: at }));
  });

  app.post('/memory/get', async (c) => {
    const { key, ...asked } = await jsonBody(c, getMemoryRequest);
    const names = asked.scope ? [memoryMeant(c, asked)] : memoriesInReach(c);
    const states = await Promise.all(names.map((name) => memories.read(name)));
    c.header('Cache-Control', 'no-store');
    for (const state of states) {
      const entry = state && entryOf(state, key);
      if (entry) return c.json(valueView(state, key, entry));
    }
    throw new ApiError('memory_not_found', 'there is no value under this key');
  });

  app.post('/memory/delete', async (c) => {
    const { key, ...asked } = await jsonBody(c, getMemoryRequest);
    const change = await write(memoryMeant(c, asked), { action: 'delete', key, ...writeOf(c) });
    if (change) c.header(REV_HEADER, String(change.rev));
    return c.body(null, 204);
  });

  app.get('/memory/list', async (c) => {
    const state = await memories.read(memoryMeant(c, queryOf(c, memoryListQuery)));
    c.header('Cache-Control', 'no-store');
    return c.json(state ? Object.entries(state.document).map(([key, entry]) => valueView(state, key, entry)) : []);
  });

  app.get('/memory/events/ws', () => {
    throw new ApiError('websocket_required', 'this is a WebSocket (RFC 6455): connect with Upgrade: websocket');
  });

  app.get('/memory/events/sse', (c) => {
    const filter = memoryFilterOf(new URL(c.req.url).searchParams);
    const since = lastTimeOf(c) ?? filter.since;
    c.header('Cache-Control', 'no-store');
    return openStream<MemoryEvent[]>(c, deps, {
      follow: (signal) => memoryChanges.follow({ ...filter, since }, { idleMs: HEARTBEAT_MS, signal }),
      isOver: () => false,
      textsOf: async function* (first, more) {
        yield textOf(first);
        for await (const part of more) yield textOf(part);
      },
    });
  });

  app.get('/memory/events/history', async (c) => {
    const { limit, ...filter } = memoryHistoryOf(new URL(c.req.url).searchParams);
    c.header('Cache-Control', 'no-store');
    return c.json(await memoryChanges.history(filter, limit));
  });

  for (const path of ['/memory/vector', '/memory/vector/*'])
    app.all(path, () => {
      throw new ApiError('not_implemented', 'vectors are not kept here: no similarity search');
    });

  /** @returns undefined where there was nothing to change */
  async function write(name: MemoryName, message: MemoryWrite): Promise<MemoryChange | undefined> {
    const written = await memories.write(name, message);
    switch (written.kind) {
      case 'changed':
        return written.change;
      case 'unchanged':
        return undefined;
      case 'refused':
        throw new ApiError(written.why === 'full' ? 'memory_full' : 'invalid_request', written.message);
      case 'busy':
        throw new ApiError('too_many_writes', 'this memory takes no more before a worker has got to what was written', {
          retryAfterS: RETRY_AFTER_S,
        });
      case 'unseen':
        throw notSeen();
    }
  }

  return app;
}

/** Who writes, and when. */
function writeOf(c: Context): Pick<MemoryWrite, 'id' | 'at' | 'agentId' | 'workflowId' | 'actorId'> {
  const agentId = identifier(c, 'X-Agent-Node-ID');
  const workflowId = identifier(c, 'X-Workflow-ID') ?? identifier(c, 'X-Run-ID');
  const actorId = identifier(c, 'X-Actor-ID');
  return {
    id: `mem_${randomUUID()}`,
    at: new Date().toISOString(),
    ...(agentId !== undefined && { agentId }),
    ...(workflowId !== undefined && { workflowId }),
    ...(actorId !== undefined && { actorId }),
  };
}

/** The id of an event is its time: what came in the same millisecond comes again. */
function textOf(events: MemoryEvent[]): string {
  return events.map((event) => sseEvent('message', event, event.timestamp)).join('') || HEARTBEAT;
}

function lastTimeOf(c: Context): string | undefined {
  const id = lastEventIdOf(c);
  if (id === undefined) return undefined;
  const time = Date.parse(id);
  if (!/^\d{4}-.*Z$/.test(id) || Number.isNaN(time))
    throw invalid([{ path: 'Last-Event-ID', message: 'must be the id of an event' }]);
  return new Date(time - 1).toISOString();
}
