import { randomUUID } from 'node:crypto';
import type { Client, Connection } from '@temporalio/client';
import { decodeFirst } from '../common/decode-payload.ts';
import { mapLimited } from '../common/map-limited.ts';
import {
  isAborted,
  isLimitOfSignals,
  isOutage,
  WorkflowExecutionAlreadyStartedError,
} from '../common/temporal-errors.ts';
import { enterRoster } from '../runs/enter-roster.ts';
import { readRoster } from '../runs/roster.ts';
import { placesOf } from '../runs/tree.ts';
import type { TreePlace } from '../runs/tree.ts';
import type { cancelRun } from '../workflows/cancel-run.ts';
import type { runEnd } from '../workflows/run-end.ts';
import type { CancelRequest } from '../workflows/execution.ts';
import {
  ASKED_BY_MEMO,
  cancelRunId,
  cancelRunSignal,
  restartsId,
  rootOfRunId,
  rosterId,
  runEndId,
} from '../workflows/run-contract.ts';
import type {
  CancelledNode,
  RunCancelReport,
  RunEndInput,
  RunCancelRequest,
  RunMember,
} from '../workflows/run-contract.ts';
import { ApiError } from './errors.ts';
import type { Executions } from './executions.ts';
import type { Histories } from './histories.ts';
import type { ReadState } from './pending.ts';
import { lookAtRun } from './run-members.ts';
import { readRunWebhook } from './run-webhook.ts';
import type { RunWebhook } from './run-webhook.ts';

/** The runs that executions belong to, as Temporal has them now: nothing here waits for visibility. */
export interface Runs {
  /**
   * Resolves once it is written down that the execution belongs to the run, which is before its start. Throws
   * `run_cancelled` where nobody may join any more.
   */
  join: (runId: string, member: RunMember) => Promise<void>;
  /** A call of Temporal, with a deadline. */
  call: <T>(fn: () => Promise<T>) => Promise<T>;
  /** Writes down which execution is another one again, before its start. */
  linkRestart: (of: Pick<ReadState, 'executionId' | 'runId'>, restartId: string) => Promise<void>;
  /** Those that are this execution again, in the order in which they were asked for. */
  restartsOf: (executionId: string) => Promise<ReadState[]>;
  /** Throws `run_not_found`. */
  find: (runId: string) => Promise<Run>;
  /**
   * What became of the webhook for its end; undefined where nobody asked for one.
   * @param workflowId of what tells, where it is not the run's own
   */
  webhookOf: (runId: string, workflowId?: string) => Promise<RunWebhook | undefined>;
  /** Resolves once it is durable that the end of the run will be told. Throws `run_webhook_registered`. */
  tellEnd: (end: Pick<RunEndInput, 'runId' | 'executionId' | 'webhook' | 'policy'>) => Promise<void>;
  /**
   * Resolves once it is durable that the run is cancelled, with what was done about its executions if a worker has told
   * so in time. Throws `run_not_found`.
   */
  cancel: (runId: string, request: CancelRequest) => Promise<CancelledNode[] | undefined>;
  /** What is known of some members, in their order; undefined where one was never started, or not yet. */
  read: (members: readonly Pick<RunMember, 'executionId'>[]) => Promise<(ReadState | undefined)[]>;
}

export interface Run {
  places: TreePlace[];
  /** It was cancelled: nobody joins any more. */
  isShut: boolean;
}

const CALL_DEADLINE_MS = 5_000;
/** How long who cancels waits to be told what was done. */
const REPORT_WAIT_MS = 15_000;
const PARALLEL_READS = 32;

export interface RunsDeps {
  client: Client;
  taskQueue: string;
  histories: Histories;
  executions: Pick<Executions, 'find'>;
}

export function createRuns({ client, taskQueue, histories, executions }: RunsDeps): Runs {
  const { connection } = client as Client & { connection: Connection };
  const call: Runs['call'] = <T>(fn: () => Promise<T>) => connection.withDeadline(Date.now() + CALL_DEADLINE_MS, fn);
  const { loadedDataConverter } = client.options;

  async function enter(workflowId: string, runId: string, member: RunMember): Promise<void> {
    try {
      if (await enterRoster({ client, taskQueue, workflowId, runId }, member, call)) return;
    } catch (err) {
      throw isLimitOfSignals(err) ? runIsFull() : err;
    }
    throw runCancelled();
  }

  async function find(runId: string): Promise<Run> {
    const rootId = rootOfRunId(runId);
    const [roster, root] = await Promise.all([
      readRoster(histories.readPage, loadedDataConverter, rosterId(runId, taskQueue)),
      rootId === undefined ? undefined : executions.find(rootId),
    ]);
    const joined = roster?.members.filter(({ executionId }) => executionId !== rootId) ?? [];
    const members = root?.runId === runId ? [memberOf(root), ...joined] : (roster?.members ?? []);
    if (members.length > 0) return { places: placesOf(members), isShut: roster?.isShut === true };
    return { places: placesOf(await visibleMembers(runId)), isShut: false };
  }

  /** Of runs from before there were rosters. */
  async function visibleMembers(runId: string): Promise<RunMember[]> {
    const { executionIds } = await lookAtRun(client, runId);
    if (executionIds.length === 0) throw runNotFound();
    const states = await mapLimited(executionIds, PARALLEL_READS, executions.find);
    return states.flatMap((state) => (state ? [memberOf(state)] : []));
  }

  async function cancel(runId: string, request: CancelRequest): ReturnType<Runs['cancel']> {
    await find(runId);
    const workflowId = cancelRunId(runId, taskQueue);
    const requestId = randomUUID();
    await call(() =>
      client.workflow.signalWithStart<typeof cancelRun, [RunCancelRequest]>('cancelRun', {
        workflowId,
        taskQueue,
        args: [{ runId, rosterId: rosterId(runId, taskQueue) }],
        signal: cancelRunSignal,
        signalArgs: [{ ...request, requestId }],
        staticSummary: `cancel ${runId}`,
      }),
    );
    return cancelReport(workflowId, requestId);
  }

  async function tellEnd(end: Parameters<Runs['tellEnd']>[0]): Promise<void> {
    const { runId, executionId } = end;
    const workflowId = runEndId(runId, taskQueue);
    try {
      await call(() =>
        client.workflow.start<typeof runEnd>('runEnd', {
          workflowId,
          taskQueue,
          args: [{ ...end, rosterId: rosterId(runId, taskQueue) }],
          workflowIdReusePolicy: 'REJECT_DUPLICATE',
          workflowIdConflictPolicy: 'FAIL',
          memo: { [ASKED_BY_MEMO]: executionId },
          staticSummary: `end of ${runId}`,
        }),
      );
    } catch (err) {
      if (!(err instanceof WorkflowExecutionAlreadyStartedError)) throw err;
      const { memo } = await call(() => client.workflow.getHandle(workflowId).describe());
      // The same request again, whose execution may not have been started then.
      if (memo?.[ASKED_BY_MEMO] !== executionId)
        throw new ApiError('run_webhook_registered', 'another submit has registered a webhook for the end of this run');
    }
  }

  async function cancelReport(workflowId: string, requestId: string): Promise<CancelledNode[] | undefined> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), REPORT_WAIT_MS);
    try {
      let token = new Uint8Array();
      do {
        const { events, next } = await histories.readPage(workflowId, token, { follow: stop.signal });
        token = new Uint8Array(next);
        for (const { activityTaskCompletedEventAttributes: completed } of events) {
          const report = completed && (await decodeFirst<RunCancelReport>(completed.result, loadedDataConverter));
          if (report?.requestIds.includes(requestId)) return report.nodes;
        }
      } while (token.length > 0);
    } catch (err) {
      if (!isAborted(err) && !isOutage(err)) throw err;
    } finally {
      clearTimeout(timer);
    }
    return undefined;
  }

  return {
    join: (runId, member) => enter(rosterId(runId, taskQueue), runId, member),
    linkRestart: ({ executionId, runId }, restartId) =>
      enter(restartsId(executionId, taskQueue), runId, { executionId: restartId }),
    restartsOf: async (executionId) => {
      const workflowId = restartsId(executionId, taskQueue);
      const roster = await readRoster(histories.readPage, loadedDataConverter, workflowId);
      const states = await mapLimited(roster?.members ?? [], PARALLEL_READS, (one) => executions.find(one.executionId));
      return states.filter((state) => state !== undefined);
    },
    find,
    call,
    tellEnd,
    webhookOf: (runId, workflowId = runEndId(runId, taskQueue)) =>
      readRunWebhook(histories.readPage, loadedDataConverter, workflowId),
    cancel,
    read: (members) => mapLimited(members, PARALLEL_READS, ({ executionId }) => executions.find(executionId)),
  };
}

function memberOf({ executionId, parentExecutionId }: ReadState): RunMember {
  return { executionId, ...(parentExecutionId !== undefined && { parentExecutionId }) };
}

export function runNotFound(): ApiError {
  return new ApiError('run_not_found', 'run not found');
}

function runCancelled(): ApiError {
  return new ApiError('run_cancelled', 'the run was cancelled: no further execution joins it');
}

function runIsFull(): ApiError {
  return new ApiError('too_many_executions', 'the run has as many executions as one may have: begin another one');
}
