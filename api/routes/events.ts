import { Hono } from 'hono';
import type { Context } from 'hono';
import { z } from 'zod';
import { readAgentEvents } from '../agent-events.ts';
import type { AppDeps } from '../deps.ts';
import { HEARTBEAT_MS, openStream } from '../event-stream.ts';
import { eventView } from '../event-view.ts';
import { executionIdOf } from '../execution-id.ts';
import { directionsView, viewNow } from '../execution-view.ts';
import { invalid, queryOf, readJson } from '../json-body.ts';
import type { LogPart } from '../log.ts';
import { createPage, ENTRY_NUMBER, lastEventIdOf, logFormat, logParameters, wantsPages } from '../log-request.ts';
import type { LogFormat } from '../log-request.ts';
import type { ReadState } from '../pending.ts';
import type { LogEvent } from '../schemas.ts';
import { END, HEARTBEAT, sseEvent, sseOf, typed } from '../sse.ts';

export const eventsQuery = z.strictObject({
  after: z.string().regex(ENTRY_NUMBER, 'must be the number of a log entry').transform(Number).optional(),
  ...logParameters,
});

/** The log of an execution: as server-sent events, or in pages of JSON. */
export function eventRoutes(deps: AppDeps): Hono {
  const { executions } = deps;
  const app = new Hono();

  app.get('/executions/:id/events', async (c) => {
    const id = executionIdOf(c);
    const { after, limit, ...wanted } = queryOf(c, eventsQuery);
    const format = logFormat(wanted);
    const cursor = lastEntryOf(c) ?? after;
    c.header('Cache-Control', 'no-store');
    c.header('Vary', 'Accept');
    if (wantsPages(c)) return c.json(await readPage(id, cursor ?? 0, limit, format));
    return stream(c, id, cursor, format);
  });

  app.post('/executions/:id/events', async (c) => {
    const id = executionIdOf(c);
    const reports = readAgentEvents(await readJson(c, { asIs: true }));
    return c.json(directionsView(await executions.report(id, reports)));
  });

  async function readPage(id: string, after: number, limit: number, { isWanted }: LogFormat) {
    await executions.get(id);
    const { events, isFull, add } = createPage<LogEvent>(limit);
    const page = { events, next_after: after, has_more: true, is_complete: false };
    for await (const { records, isCaughtUp, isComplete } of executions.readLog(id, after)) {
      for (const record of records) {
        if (isFull()) return page;
        page.next_after = record.sequence;
        const event = eventView(record);
        if (isWanted(event)) add(event);
      }
      if (isCaughtUp) return { ...page, has_more: false, is_complete: isComplete };
    }
    return page;
  }

  async function stream(c: Context, id: string, cursor: number | undefined, format: LogFormat): Promise<Response> {
    const state = await executions.get(id);
    return openStream<LogPart>(c, deps, {
      follow: (signal) => executions.followLog(id, cursor ?? state.sequence, { idleMs: HEARTBEAT_MS, signal }),
      isOver: ({ records, isComplete }) => cursor !== undefined && isComplete && records.length === 0,
      textsOf: async function* (first, more) {
        if (cursor === undefined) yield typed(await snapshotOf(state), format);
        yield textOf(first, format);
        for await (const part of more) yield textOf(part, format);
      },
    });
  }

  async function snapshotOf(state: ReadState): Promise<string> {
    const snapshot = await viewNow(executions, state);
    return sseEvent('snapshot', snapshot, snapshot.sequence);
  }

  return app;
}

function textOf({ records, isComplete }: LogPart, format: LogFormat): string {
  const events = records.map((record) => sseOf(record)).filter(({ event }) => format.isWanted(event));
  const text = events.map((event) => typed(event.text, format)).join('') + (isComplete ? typed(END, format) : '');
  return text === '' ? HEARTBEAT : text;
}

function lastEntryOf(c: Context): number | undefined {
  const id = lastEventIdOf(c);
  if (id !== undefined && !ENTRY_NUMBER.test(id))
    throw invalid([{ path: 'Last-Event-ID', message: 'must be the number of a log entry' }]);
  return id === undefined ? undefined : Number(id);
}
