import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { mapLimited } from '../common/map-limited.ts';
import { isNotFound } from '../common/temporal-errors.ts';
import { isShut, ROSTER_DELAY } from '../runs/enter-roster.ts';
import { placesOf } from '../runs/tree.ts';
import { cancelRequestSignal, stateQuery } from '../workflows/contract.ts';
import type { CancelRequest } from '../workflows/execution.ts';
import { ROSTER_WORKFLOW, RUN_CANCELLED } from '../workflows/run-contract.ts';
import type { CancelledNode, RunActivities, RunCancelling, RunRoster } from '../workflows/run-contract.ts';
import { describe, executionsOf, statusOfClosed } from './run-executions.ts';

const PARALLEL_CANCELS = 20;
/** After so many attempts what could not be cancelled is told as it is. */
const MAX_ATTEMPTS = 5;
const BEAT_MS = 1_000;
const QUERY_DEADLINE_MS = 5_000;

export const cancelExecutions: RunActivities['cancelExecutions'] = async (cancelling) => {
  const { client, info, heartbeat } = Context.current();
  const { runId, rosterId, requestIds } = cancelling;
  await shut(client, rosterId, runId);
  const places = placesOf(await executionsOf(client, runId, rosterId));
  /** What an attempt before has done: now it would look as if somebody else had. */
  const done = new Map(
    ((info.heartbeatDetails as CancelledNode[] | undefined) ?? []).map((one) => [one.executionId, one]),
  );
  let beatAt = 0;
  /** What was done may be long: it is not told for every execution. */
  const beat = () => {
    if (Date.now() - beatAt < BEAT_MS) return;
    beatAt = Date.now();
    heartbeat([...done.values()]);
  };
  const nodes: CancelledNode[] = [];
  const depths = [...new Set(places.map(({ depth }) => depth))].toSorted((one, other) => other - one);
  for (const depth of depths) {
    const level = places.filter((place) => place.depth === depth);
    const cancelled = await mapLimited(level, PARALLEL_CANCELS, async ({ executionId }) => {
      beat();
      const node = done.get(executionId) ?? (await cancelOne(client, executionId, cancelling));
      if (node?.did === 'cancelled') done.set(executionId, node);
      return node;
    });
    nodes.push(...cancelled.filter((node) => node !== undefined));
  }
  if (info.attempt < MAX_ATTEMPTS && nodes.some(({ did }) => did === 'failed')) {
    heartbeat([...done.values()]);
    throw ApplicationFailure.create({
      message: 'not all executions of the run could be cancelled',
      type: 'RunNotCancelled',
    });
  }
  return { requestIds, nodes };
};

/** Ends the roster, so that Temporal itself refuses whoever would join. */
async function shut(client: Client, workflowId: string, runId: string): Promise<void> {
  for (;;) {
    const roster = await describe(client, workflowId);
    if (roster?.status.name === 'RUNNING') {
      try {
        await client.workflow.getHandle(workflowId).terminate(RUN_CANCELLED);
        return;
      } catch (err) {
        if (!isNotFound(err)) throw err;
        continue;
      }
    }
    if (roster?.status.name === 'TERMINATED' && (await isShut(client, workflowId, roster.runId))) return;
    await client.workflow.start<RunRoster>(ROSTER_WORKFLOW, {
      workflowId,
      taskQueue: Context.current().info.taskQueue,
      args: [{ runId, ...(roster && { previousRunId: roster.runId }) }],
      startDelay: ROSTER_DELAY,
      workflowIdConflictPolicy: 'USE_EXISTING',
    });
  }
}

/** @returns undefined where it was never started, or not yet */
async function cancelOne(
  client: Client,
  executionId: string,
  cancelling: RunCancelling,
): Promise<CancelledNode | undefined> {
  try {
    return await cancelOpen(client, executionId, cancelling);
  } catch (err) {
    return { executionId, did: 'failed', error: `Temporal refused it: ${(err as Error).message}` };
  }
}

async function cancelOpen(
  client: Client,
  executionId: string,
  { reason, graceMs, requestIds }: RunCancelling,
): Promise<CancelledNode | undefined> {
  const described = await describe(client, executionId);
  if (!described) return undefined;
  if (described.status.name !== 'RUNNING')
    return { executionId, did: 'skipped', status: await statusOfClosed(client, described) };
  // The answer comes between two workflow tasks: a cancel request in the midst of one in which the agent is called
  // could make it be called again.
  const state = await inTime(client, () => client.workflow.getHandle(executionId).query(stateQuery));
  // Its webhook is still being delivered.
  if (state?.outcome) return { executionId, did: 'skipped', status: state.outcome.status };
  const node: CancelledNode = { executionId, did: 'cancelled', ...(state && { status: state.status }) };
  if (requestIds.length === 0 && state?.isCancelling) return node;
  const isNews = (reason !== undefined && state?.cancelReason === undefined) || graceMs !== undefined;
  const request: CancelRequest = { ...(reason !== undefined && { reason }), ...(graceMs !== undefined && { graceMs }) };
  const handle = client.workflow.getHandle(executionId);
  try {
    if (isNews) await handle.signal(cancelRequestSignal, request);
    await handle.cancel();
  } catch (err) {
    if (!isNotFound(err)) throw err;
    const ended = await describe(client, executionId);
    return { executionId, did: 'skipped', ...(ended && { status: await statusOfClosed(client, ended) }) };
  }
  return node;
}

/** Its answer, if it gives one in time: one whose worker is busy is cancelled all the same. */
async function inTime<T>(client: Client, ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await client.withDeadline(Date.now() + QUERY_DEADLINE_MS, ask);
  } catch {
    return undefined;
  }
}
