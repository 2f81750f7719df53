import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import type { Context } from 'hono';
import { z } from 'zod';
import type { SteerMessage } from '../../workflows/execution.ts';
import { EMPTY_CONTEXT } from '../../workflows/agent-reports.ts';
import type { AppDeps } from '../deps.ts';
import { ApiError } from '../errors.ts';
import { eventView } from '../event-view.ts';
import { executionIdOf } from '../execution-id.ts';
import { executionView, linksOf, trackedView } from '../execution-view.ts';
import type { Executions } from '../executions.ts';
import { jsonBody, queryOf } from '../json-body.ts';
import { approvalRequest, pauseRequest, resumeRequest, steerMessage } from '../steering-schemas.ts';

export const contextQuery = z.strictObject({
  since_rev: z
    .string()
    .regex(/^\d{1,9}$/, 'must be a revision')
    .transform(Number)
    .optional(),
});

/** What persons do with a running execution: speak to its agent, hold it, answer it. */
export function steeringRoutes({ executions }: AppDeps): Hono {
  const app = new Hono();

  app.post('/executions/:id/messages', async (c) => {
    const id = executionIdOf(c);
    const message = toMessage(await jsonBody(c, steerMessage));
    const taken = await withPatches(executions, id, message.ifRev, () => executions.steer(id, message));
    return c.json(trackedView(id, taken), 202, { Location: `${linksOf(id).messages}` });
  });

  app.get('/executions/:id/messages', async (c) => {
    const id = executionIdOf(c);
    const { messages = [] } = await executions.get(id);
    c.header('Cache-Control', 'no-store');
    return c.json({ messages: messages.map((message) => trackedView(id, message)) });
  });

  app.get('/executions/:id/context', async (c) => {
    const id = executionIdOf(c);
    const { since_rev } = queryOf(c, contextQuery);
    const { context } = await executions.get(id);
    const { rev, document } = context ?? EMPTY_CONTEXT;
    c.header('Cache-Control', 'no-store');
    if (since_rev === undefined) return c.json({ rev, document });
    return c.json({ rev, patches: await patchesSince(executions, id, since_rev) });
  });

  app.post('/executions/:id/pause', async (c) => {
    const id = executionIdOf(c);
    const { by, reason } = await jsonBody(c, pauseRequest, { empty: {} });
    const state = await executions.pause(id, defined({ by, reason }));
    return c.json({ ...executionView(state), paused_at: state.paused?.since ?? null });
  });

  app.post('/executions/:id/resume', async (c) => {
    const id = executionIdOf(c);
    const { by, reason, data, turn } = await jsonBody(c, resumeRequest, { empty: {} });
    const state = await executions.resume(id, defined({ by, reason, data, turn }));
    return c.json({ ...executionView(state), resumed_at: new Date().toISOString() });
  });

  app.post('/executions/:id/approval', async (c) => {
    const id = executionIdOf(c);
    const { decision, by, reason, data, turn } = await jsonBody(c, approvalRequest);
    const state = await executions.approve(id, { decision, ...defined({ by, reason, data, turn }) });
    return c.json(executionView(state));
  });

  app.get('/executions/:id/steer', (c: Context) => {
    executionIdOf(c);
    c.header('Upgrade', 'websocket');
    throw new ApiError('websocket_required', 'this is a WebSocket (RFC 6455): connect with Upgrade: websocket');
  });

  return app;
}

/** A message as it was sent, with an id if it had none. */
export function toMessage({ id, text, data, interrupt, if_rev, from }: z.infer<typeof steerMessage>): SteerMessage {
  return {
    id: id ?? `msg_${randomUUID()}`,
    ...(interrupt && { interrupt }),
    ...defined({ text, data, ifRev: if_rev, from }),
  };
}

/** Whoever is refused for what has changed since gets to know what has. */
export async function withPatches<T>(
  executions: Executions,
  executionId: string,
  sinceRev: number | undefined,
  send: () => Promise<T>,
): Promise<T> {
  try {
    return await send();
  } catch (err) {
    if (!(err instanceof ApiError) || err.code !== 'context_changed' || sinceRev === undefined) throw err;
    const patches = await patchesSince(executions, executionId, sinceRev);
    throw new ApiError(err.code, err.message, { executionId, members: { ...err.members, patches } });
  }
}

/** The newest ones, if they are too many: then the document itself is shorter. */
const MAX_PATCHES = 200;
const MAX_PATCH_CHARS = 256 * 1024;

interface PatchView {
  rev: number;
  sequence: number;
  at: string;
  patch: unknown;
}

async function patchesSince(executions: Executions, executionId: string, rev: number): Promise<PatchView[]> {
  const newest: { view: PatchView; chars: number }[] = [];
  let chars = 0;
  for await (const { records } of executions.readLog(executionId, 0))
    for (const record of records) {
      const { kind, sequence, at, data } = eventView(record);
      if (kind !== 'context.patch' || Number(data.rev) <= rev) continue;
      const view = { rev: Number(data.rev), sequence, at, patch: data.patch };
      newest.push({ view, chars: JSON.stringify(view).length });
      chars += newest.at(-1)?.chars ?? 0;
      while (newest.length > MAX_PATCHES || (chars > MAX_PATCH_CHARS && newest.length > 1))
        chars -= newest.shift()?.chars ?? 0;
    }
  return newest.map(({ view }) => view);
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the members that are undefined. */
function defined<T extends object>(fields: T): Defined<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T>;
}
