import { Hono } from 'hono';
import type { Context } from 'hono';
import { z } from 'zod';
import { EXECUTION_STATUSES } from '../../workflows/execution.ts';
import { isOver } from '../../workflows/state.ts';
import type { ExecutionState } from '../../workflows/state.ts';
import { readCallback, tooLargeEnding } from '../agent-callback.ts';
import type { CallbackMeaning } from '../agent-callback.ts';
import type { ReadState } from '../pending.ts';
import type { AppDeps } from '../deps.ts';
import { ApiError } from '../errors.ts';
import { directionsView, executionView, linksOf, viewNow } from '../execution-view.ts';
import { isExecutionId, RUN_ID } from '../ids.ts';
import { executionIdOf } from '../execution-id.ts';
import { jsonBody, numberParameter, queryOf, readBytes, readJson } from '../json-body.ts';
import { listExecutions } from '../list.ts';
import { mapLimited } from '../../common/map-limited.ts';
import { retryAfterOf } from '../retry-pace.ts';
import { batchStatusRequest } from '../schemas.ts';
import { cancelRequest } from '../steering-schemas.ts';

const MAX_WAIT_S = 60;
/** Histories read at the same time for one request. */
const PARALLEL_READS = 32;

export const listQuery = z.strictObject({
  status: z.enum(EXECUTION_STATUSES).optional(),
  target: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,128}\.[A-Za-z0-9_-]{1,128}$/, 'must read node.name')
    .optional(),
  run_id: z.string().regex(RUN_ID, 'must be a run id').optional(),
  since: z.iso.datetime({ offset: true }).optional(),
  limit: numberParameter(1, 100).default(20),
  cursor: z.string().max(400).optional(),
});

export const waitQuery = z.strictObject({
  wait: z
    .string()
    .regex(/^\d{1,6}$/, 'must be a number of seconds')
    .transform((text) => Math.min(Number(text), MAX_WAIT_S))
    .optional(),
});

/** Which turn of the agent's ends; it stands in the callback URL from the second on. */
export const callbackQuery = z.object({ turn: numberParameter(1, 1_000_000).optional() });

export const cancelQuery = z.object({
  terminate: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional(),
});

export function executionRoutes(deps: AppDeps): Hono {
  const { executions, limits, client } = deps;
  const app = new Hono();

  app.get('/executions', async (c) => {
    const { run_id, since, ...filter } = queryOf(c, listQuery);
    const page = await listExecutions(client, {
      ...filter,
      ...(run_id !== undefined && { runId: run_id }),
      ...(since !== undefined && { since: new Date(since) }),
    });
    const states = await mapLimited(page.executionIds, PARALLEL_READS, executions.find);
    if (page.nextCursor !== null) {
      const next = new URL(c.req.url);
      next.searchParams.set('cursor', page.nextCursor);
      c.header('Link', `<${next.pathname}${next.search}>; rel="next"`);
    }
    return c.json({
      // Visibility lags a little behind; the histories decide what is shown.
      executions: states
        .filter((state) => state !== undefined)
        .filter((state) => filter.status === undefined || state.status === filter.status)
        .map((state) => executionView(state)),
      next_cursor: page.nextCursor,
    });
  });

  app.post('/executions/batch-status', async (c) => {
    const { execution_ids } = await jsonBody(c, batchStatusRequest);
    const ids = [...new Set(execution_ids)];
    const states = await mapLimited(ids, PARALLEL_READS, (id) => (isExecutionId(id) ? executions.find(id) : undefined));
    // No prototype: an id may be spelt like one of its members.
    const answer = Object.create(null) as Record<string, unknown>;
    for (const [i, id] of ids.entries()) {
      const state = states[i];
      answer[id] = state ? executionView(state) : { execution_id: id, status: 'not_found' };
    }
    return c.body(JSON.stringify(answer), 200, { 'Content-Type': 'application/json' });
  });

  // Any other method: it is no execution of that name.
  app.all('/executions/batch-status', (c) => c.notFound());

  app.get('/executions/:id', async (c) => {
    const id = executionIdOf(c);
    const { wait } = queryOf(c, waitQuery);
    // By the Fetch standard a conditional request says no-cache too, and means nothing by it.
    const isConditional = c.req.header('If-None-Match') !== undefined;
    const asksWorkflow = c.req.header('Cache-Control')?.toLowerCase().includes('no-cache') === true;
    if (asksWorkflow && !isConditional) return show(c, await executions.query(id));
    const state = await executions.get(id);
    if (wait === undefined || isOver(state)) return show(c, state);

    // With an ETag the change that counts is the one since then, else the one from now on.
    const known = c.req.header('If-None-Match');
    const hasChanged = (now: ExecutionState) =>
      isOver(now) || (known === undefined ? now.sequence > sequence : !matches(known, etagOf(now)));
    const { sequence } = state;
    const signal = c.req.raw.signal;
    return show(c, (await executions.waitFor(id, hasChanged, { timeoutMs: wait * 1000, signal })) ?? state);
  });

  async function show(c: Context, state: ReadState): Promise<Response> {
    const etag = etagOf(state);
    c.header('ETag', etag);
    c.header('Cache-Control', 'no-store');
    const estimate = executions.estimateOf(state);
    if (!isOver(state)) c.header('Retry-After', String(retryAfterOf(state, estimate?.completion)));
    const known = c.req.header('If-None-Match');
    if (known !== undefined && matches(known, etag)) return c.body(null, 304);
    return c.json(await viewNow(executions, state));
  }

  app.post('/executions/:id/status', async (c) => {
    const id = executionIdOf(c);
    const { turn } = queryOf(c, callbackQuery);
    const meaning = readCallback(await readJsonOrEnd(c, id, turn), limits.maxResultBytes);
    const state = await record(id, meaning, turn);
    return c.json({ ...executionView(state), ...directionsView(state) });
  });

  function record(id: string, meaning: CallbackMeaning, turn: number | undefined): Promise<ReadState> {
    if (meaning.kind === 'report') return executions.report(id, [meaning.report]);
    const { reports } = meaning;
    const word = meaning.kind === 'ending' ? meaning.ending : { status: 'waiting' as const, ...meaning.wait };
    return executions.callback(id, word, { turn, reports });
  }

  /** An agent whose last word is too long has ended all the same: nobody must wait for it for ever. */
  async function readJsonOrEnd(c: Context, id: string, turn: number | undefined): Promise<unknown> {
    try {
      return await readJson(c, { asIs: true });
    } catch (err) {
      if (!(err instanceof ApiError) || err.code !== 'body_too_large') throw err;
      const { maxResultBytes } = limits;
      await executions.callback(id, tooLargeEnding(maxResultBytes), { turn });
      throw new ApiError(
        'result_too_large',
        `the result is larger than ${maxResultBytes} bytes; the execution failed`,
        {
          executionId: id,
        },
      );
    }
  }

  app.post('/executions/:id/cancel', async (c) => {
    const id = executionIdOf(c);
    const { terminate } = queryOf(c, cancelQuery);
    const { reason, grace_ms } = await jsonBody(c, cancelRequest, { empty: {} });
    const graceMs = terminate ? 0 : grace_ms;
    const state = await executions.cancel(id, {
      ...(reason !== undefined && { reason }),
      ...(graceMs !== undefined && { graceMs }),
    });
    return c.json(
      {
        execution_id: id,
        run_id: state.runId,
        previous_status: state.status,
        status: 'cancelling',
        ...(reason !== undefined && { reason }),
        links: linksOf(id),
      },
      202,
      { Location: linksOf(id).self },
    );
  });

  app.post('/executions/:id/webhook/redeliver', async (c) => {
    const id = executionIdOf(c);
    await readBytes(c);
    const state = await executions.redeliver(id, deps.policy);
    return c.json({ execution_id: id, run_id: state.runId, status: state.status, links: linksOf(id) }, 202, {
      Location: linksOf(id).self,
    });
  });

  return app;
}

/** Every visible change has a number of its own, so the number names the representation. */
function etagOf(state: ExecutionState): string {
  return `"${state.executionId}.${state.sequence}"`;
}

function matches(ifNoneMatch: string, etag: string): boolean {
  return ifNoneMatch.split(',').some((item) => item.trim().replace(/^W\//, '') === etag || item.trim() === '*');
}
