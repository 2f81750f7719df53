import { Hono } from 'hono';
import type { Context } from 'hono';
import type { CancelledNode } from '../../workflows/run-contract.ts';
import type { AppDeps } from '../deps.ts';
import { RUN_ID } from '../ids.ts';
import { jsonBody, queryOf } from '../json-body.ts';
import { runLinksOf } from '../run-view.ts';
import { runNotFound } from '../runs.ts';
import { cancelRequest } from '../steering-schemas.ts';
import { cancelQuery } from './executions.ts';

/** Cancels whole runs. */
export function runCancelRoutes(deps: AppDeps): Hono {
  const cancel = createRunCancel(deps);
  const app = new Hono();

  app.post('/runs/:run_id/cancel', async (c) => {
    const answer = await cancel(c, runIdIn(c));
    return c.json(answer, 202, { Location: answer.links.self });
  });

  // AgentField's call is answered when all is done.
  app.post('/workflows/:run_id/cancel-tree', async (c) => {
    const answer = await cancel(c, runIdIn(c));
    return c.json(answer, answer.is_reported ? 200 : 202);
  });

  return app;
}

function runIdIn(c: Context): string {
  const runId = c.req.param('run_id') ?? '';
  if (!RUN_ID.test(runId)) throw runNotFound();
  return runId;
}

/** Reads a request to cancel a run, does it, and tells what was done. */
export function createRunCancel({ runs }: Pick<AppDeps, 'runs'>) {
  return async (c: Context, runId: string) => {
    const { terminate } = queryOf(c, cancelQuery);
    const { reason, grace_ms } = await jsonBody(c, cancelRequest, { empty: {} });
    const graceMs = terminate ? 0 : grace_ms;
    const nodes = await runs.cancel(runId, {
      ...(reason !== undefined && { reason }),
      ...(graceMs !== undefined && { graceMs }),
    });
    const count = (wanted: CancelledNode['did']) => nodes?.filter(({ did }) => did === wanted).length ?? 0;
    return {
      run_id: runId,
      status: 'cancelling',
      is_reported: nodes !== undefined,
      total_nodes: nodes?.length ?? 0,
      cancelled_count: count('cancelled'),
      skipped_count: count('skipped'),
      error_count: count('failed'),
      nodes: (nodes ?? []).map(nodeView),
      cancelled_at: new Date().toISOString(),
      ...(reason !== undefined && { reason }),
      links: runLinksOf(runId),
    };
  };
}

function nodeView({ executionId, did, status, error }: CancelledNode) {
  return {
    execution_id: executionId,
    result: did === 'failed' ? 'error' : did,
    previous_status: status ?? null,
    error: error ?? null,
  };
}
