import { Hono } from 'hono';
import { z } from 'zod';
import { mapLimited } from '../../common/map-limited.ts';
import { formatTarget } from '../../workflows/execution.ts';
import type { TreePlace } from '../../runs/tree.ts';
import type { AppDeps } from '../deps.ts';
import { attemptView } from '../execution-view.ts';
import { RUN_ID } from '../ids.ts';
import { invalid, numberParameter, queryOf } from '../json-body.ts';
import { listExecutions } from '../list.ts';
import type { ReadState } from '../pending.ts';
import type { RunTree } from '../run-schemas.ts';
import { runLinksOf, runNodeView, runSummary } from '../run-view.ts';
import type { PlacedState } from '../run-view.ts';
import { runNotFound } from '../runs.ts';

/** Of a larger run no sums are told: each execution has to be read for them. */
const MAX_SUMMED = 1_000;
const PARALLEL_READS = 32;

export const runTreeQuery = z.strictObject({
  limit: numberParameter(1, 500).default(200),
  cursor: z.string().max(400).optional(),
});

export const runListQuery = z.strictObject({
  since: z.iso.datetime({ offset: true }).optional(),
  limit: numberParameter(1, 100).default(20),
  cursor: z.string().max(400).optional(),
});

/** Runs as trees of their executions. */
export function runTreeRoutes({ client, executions, runs }: AppDeps): Hono {
  const app = new Hono();

  app.get('/runs', async (c) => {
    const { since, ...filter } = queryOf(c, runListQuery);
    const page = await listExecutions(client, { ...filter, isRoot: true, ...(since && { since: new Date(since) }) });
    const states = await mapLimited(page.executionIds, PARALLEL_READS, executions.find);
    const roots = new Map<string, ReadState>();
    for (const state of states) if (state && !roots.has(state.runId)) roots.set(state.runId, state);
    return c.json({
      runs: [...roots].map(([runId, root]) => ({
        run_id: runId,
        root_execution_id: root.executionId,
        target: formatTarget(root.target),
        root_status: root.status,
        created_at: root.createdAt,
        links: runLinksOf(runId),
      })),
      next_cursor: page.nextCursor,
    });
  });

  app.get('/runs/:run_id', async (c) => {
    const runId = c.req.param('run_id');
    if (!RUN_ID.test(runId)) throw runNotFound();
    const { limit, cursor } = queryOf(c, runTreeQuery);
    const [{ places, isShut }, webhook] = await Promise.all([runs.find(runId), runs.webhookOf(runId)]);
    const from = placeOf(cursor, places.length);
    const shown = places.slice(from, from + limit);
    const isSummed = places.length <= MAX_SUMMED;
    const all = await readPlaces(isSummed ? places : shown);
    if (all.length === 0 && from === 0) throw runNotFound();
    const wanted = new Set(shown);
    const end = from + shown.length;
    const answer: RunTree = {
      run_id: runId,
      workflow_id: runId,
      is_cancelled: isShut,
      total_executions: isSummed ? all.length : places.length,
      ...(isSummed ? runSummary(all) : NO_SUMMARY),
      webhook_registered: webhook !== undefined,
      webhook_events: (webhook?.attempts ?? []).map(attemptView),
      nodes: all.filter(({ place }) => wanted.has(place)).map(runNodeView),
      next_cursor: end < places.length ? String(end) : null,
      links: runLinksOf(runId),
    };
    return c.json(answer, 200, { 'Cache-Control': 'no-store' });
  });

  /** Without those that have joined and were not started, or not yet: nobody was told of them. */
  async function readPlaces(places: TreePlace[]): Promise<PlacedState[]> {
    const states = await runs.read(places);
    return places.flatMap((place, i) => {
      const state = states[i];
      return state ? [{ place, state }] : [];
    });
  }

  return app;
}

const NO_SUMMARY = { status: null, started_at: null, completed_at: null, counts: null, totals: null };

/** Members stay in their order, so a number of them is a place to go on from. */
function placeOf(cursor: string | undefined, count: number): number {
  if (cursor === undefined) return 0;
  if (/^\d{1,5}$/.test(cursor) && Number(cursor) <= count) return Number(cursor);
  throw invalid([{ path: 'cursor', message: 'was not made by this API' }]);
}
