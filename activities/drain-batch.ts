import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { decodeFirst } from '../common/decode-payload.ts';
import { executionStart } from '../common/execution-start.ts';
import { mapLimited } from '../common/map-limited.ts';
import { WorkflowExecutionAlreadyStartedError } from '../common/temporal-errors.ts';
import { enterRoster } from '../runs/enter-roster.ts';
import type { BatchActivities, BatchInput, BatchItem, BatchSummary } from '../workflows/batch-contract.ts';
import { formatTarget, TERMINAL_STATUSES } from '../workflows/execution.ts';
import type { TerminalStatus } from '../workflows/execution.ts';
import { describe, statusOfClosed } from './run-executions.ts';

/** How long one attempt works before it gives its slot back. */
const SLOT_MS = 5_000;
/** It is looked again after a fifth of the time in which nothing has ended, within these. */
const MIN_PAUSE_MS = 50;
const MAX_PAUSE_MS = 5_000;
const PARALLEL_CALLS = 16;

/** How far a batch is: what an attempt hands on to the next one. Should that be lost, all is found again. */
interface Progress {
  /** The first item whose turn has not come. */
  next: number;
  /** Numbers of those that are open. */
  open: number[];
  counts: Record<TerminalStatus, number>;
  isCancelled: boolean;
  /** When the last one ended, ms since the epoch. */
  movedAt: number;
}

export const drainBatch: BatchActivities['drainBatch'] = async () => {
  const { client, info, heartbeat } = Context.current();
  const batch = await batchOf(client, info.workflowExecution);
  const progress = (info.heartbeatDetails as Progress | undefined) ?? beginning();
  const until = Date.now() + SLOT_MS;
  for (;;) {
    const started = await startNext(client, batch, progress);
    progress.open.push(...started);
    heartbeat(structuredClone(progress));
    await countEnded(client, batch, progress);
    heartbeat(structuredClone(progress));
    if (progress.open.length === 0 && (progress.isCancelled || progress.next >= batch.items.length))
      return summaryOf(batch, progress);
    const pauseMs = Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, (Date.now() - progress.movedAt) / 5));
    if (Date.now() + pauseMs > until)
      throw ApplicationFailure.create({ message: 'the batch goes on', type: 'BatchOpen', nextRetryDelay: pauseMs });
    await sleep(pauseMs);
  }
};

function beginning(): Progress {
  const counts = Object.fromEntries(TERMINAL_STATUSES.map((status) => [status, 0])) as Progress['counts'];
  return { next: 0, open: [], counts, isCancelled: false, movedAt: Date.now() };
}

async function batchOf(client: Client, execution: { workflowId: string; runId: string } | undefined) {
  const { history } = await client.workflowService.getWorkflowExecutionHistory({
    namespace: client.options.namespace,
    execution,
    maximumPageSize: 1,
  });
  const { input } = history?.events?.[0]?.workflowExecutionStartedEventAttributes ?? {};
  const batch = await decodeFirst<BatchInput>(input, client.options.loadedDataConverter);
  if (!batch) throw ApplicationFailure.nonRetryable('the batch has no items');
  return batch;
}

/** As many as there is room for. @returns their numbers */
async function startNext(client: Client, batch: BatchInput, progress: Progress): Promise<number[]> {
  if (progress.isCancelled) return [];
  const room = Math.min(batch.maxInFlight - progress.open.length, batch.items.length - progress.next);
  const numbers = Array.from({ length: Math.max(0, room) }, (_, i) => progress.next + i);
  const areStarted = await mapLimited(numbers, PARALLEL_CALLS, (number) => startItem(client, batch, number));
  progress.next += numbers.length;
  // Nobody joins a run that was cancelled.
  if (areStarted.includes(false)) progress.isCancelled = true;
  return numbers.filter((_, i) => areStarted[i]);
}

/** @returns false where the batch was cancelled */
async function startItem(client: Client, batch: BatchInput, number: number): Promise<boolean> {
  const item = itemOf(batch, number);
  const { executionId, index: _, ...call } = item;
  const policy = batch.policies[formatTarget(call.target)];
  if (!policy) throw ApplicationFailure.nonRetryable('the batch has no policy for a target');
  const { taskQueue } = Context.current().info;
  const roster = { client, taskQueue, workflowId: batch.rosterId, runId: batch.batchId };
  // One that an attempt before has started is open, or was, all the same.
  if (!(await enterRoster(roster, { executionId }))) return (await describe(client, executionId)) !== undefined;
  const input = { ...call, runId: batch.batchId, createdAt: new Date().toISOString(), policy };
  try {
    const start = executionStart(executionId, input, taskQueue);
    await client.workflow.start('executeTarget', start);
  } catch (err) {
    // By an attempt before.
    if (!(err instanceof WorkflowExecutionAlreadyStartedError)) throw err;
  }
  return true;
}

async function countEnded(client: Client, batch: BatchInput, progress: Progress): Promise<void> {
  const ends = await mapLimited(progress.open, PARALLEL_CALLS, async (number) => {
    const described = await describe(client, itemOf(batch, number).executionId);
    return described && described.status.name !== 'RUNNING' ? statusOfClosed(client, described) : undefined;
  });
  for (const status of ends) if (status !== undefined) progress.counts[status] += 1;
  const isOpen = (_: number, i: number) => ends[i] === undefined;
  const open = progress.open.filter(isOpen);
  if (open.length < progress.open.length) progress.movedAt = Date.now();
  progress.open = open;
}

function itemOf({ items }: BatchInput, number: number): BatchItem {
  const item = items[number];
  if (!item) throw ApplicationFailure.nonRetryable('the batch has no such item');
  return item;
}

function summaryOf({ items }: BatchInput, { counts, isCancelled }: Progress): BatchSummary {
  const ended = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return {
    total: items.length,
    counts,
    notStarted: items.length - ended,
    isCancelled,
    completedAt: new Date().toISOString(),
  };
}
