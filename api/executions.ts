import { randomBytes, randomUUID } from 'node:crypto';
import { QueryRejectedError } from '@temporalio/client';
import type { Client, Connection, WorkflowClient } from '@temporalio/client';
import { canonicalJson } from '../common/json.ts';
import {
  agentCallbackSignal,
  agentReportSignal,
  cancelReasonSignal,
  SEARCH_ATTRIBUTES,
  stateQuery,
} from '../workflows/contract.ts';
import type { ExecuteTargetInput, ExecutionPolicy } from '../workflows/contract.ts';
import type { executeTarget } from '../workflows/execute-target.ts';
import type { redeliverWebhook } from '../workflows/redeliver-webhook.ts';
import { formatTarget } from '../workflows/execution.ts';
import type { AgentReport, Ending } from '../workflows/execution.ts';
import { isOver } from '../workflows/state.ts';
import type { ExecutionState } from '../workflows/state.ts';
import { activityDetails, createActivityDetails } from './activity-details.ts';
import type { ActivityDetails } from './activity-details.ts';
import { createDurations } from './durations.ts';
import { estimateOf } from './estimate.ts';
import type { Estimate } from './estimate.ts';
import { pastDurations } from './list.ts';
import { ApiError } from './errors.ts';
import type { Histories } from './histories.ts';
import type { ReadState } from './pending.ts';
import { createReportQueue } from './report-queue.ts';
import {
  inTime,
  isMisconfigured,
  isNotFound,
  isOutage,
  isTimeout,
  WorkflowExecutionAlreadyStartedError,
} from './temporal-errors.ts';
import type { Watchers } from './watchers.ts';

/** What routes do with executions; with `histories.ts`, `watchers.ts` and `list.ts` all that the API asks of Temporal. */
export interface Executions {
  /** Resolves once Temporal has accepted the start; `existing` when this id had been started before. */
  start: (executionId: string, input: ExecuteTargetInput) => Promise<'started' | 'existing'>;
  /** Throws `execution_not_found`. */
  get: (executionId: string) => Promise<ReadState>;
  find: Watchers['read'];
  waitFor: Watchers['waitFor'];
  waitForClose: Histories['waitForClose'];
  followLog: Watchers['followLog'];
  readLog: Histories['readLog'];
  /** How the activity that it waits for is doing, as far as that is known. */
  detailsOf: (state: ReadState) => Promise<ActivityDetails | undefined>;
  /** When it should be done, as far as that is known at once. */
  estimateOf: (state: ReadState) => Estimate | undefined;
  /** The workflow's own answer, which needs a worker. */
  query: (executionId: string) => Promise<ReadState>;
  report: (executionId: string, reports: AgentReport[]) => Promise<ReadState>;
  /** Records how an agent says it ended. The first such word counts; the same word again is no news. */
  callback: (executionId: string, ending: Ending) => Promise<ReadState>;
  cancel: (executionId: string, reason: string | undefined) => Promise<ReadState>;
  redeliver: (executionId: string, policy: ExecutionPolicy) => Promise<ReadState>;
}

export interface ExecutionsDeps {
  client: Client;
  /** Starts the workflows, asking for an eager start: it shares the connection of a worker in this process. */
  starter?: Client | undefined;
  taskQueue: string;
  histories: Histories;
  watchers: Watchers;
  /** How long a workflow task may wait for the agent that it calls. */
  patienceMs: number;
}

/** Bound of what an agent may report by callbacks, so that its last word always fits into the history. */
const MAX_REPORTS = 5_000;
/** Every redelivery carries the attempts of all before: past this no further one is begun. */
const MAX_WEBHOOK_ATTEMPTS = 100;
const CALL_DEADLINE_MS = 5_000;
const SEE_OWN_SIGNAL_MS = 5_000;
/** Temporal takes no more. */
const MAX_TASK_TIMEOUT_MS = 120_000;
/** How much longer than the patience a message waits for the end of a workflow task in which the agent is called. */
const FIRST_CALL_GRACE_MS = 1_000;
const VISIBILITY_DEADLINE_MS = 10_000;
const DESCRIBE_DEADLINE_MS = 2_000;
const QUERY_DEADLINE_MS = 10_000;

export function createExecutions(deps: ExecutionsDeps): Executions {
  const { client, starter, taskQueue, histories, watchers } = deps;
  const firstCallMs = deps.patienceMs + FIRST_CALL_GRACE_MS;
  const { connection } = client as Client & { connection: Connection };
  const call = <T>(fn: () => Promise<T>, deadlineMs = CALL_DEADLINE_MS): Promise<T> =>
    connection.withDeadline(Date.now() + deadlineMs, fn);
  const startWorkflow: WorkflowClient['start'] = (type, options) =>
    starter
      ? inTime(CALL_DEADLINE_MS, starter.workflow.start(type, { ...options, requestEagerStart: true }))
      : call(() => client.workflow.start(type, options));

  async function get(executionId: string): Promise<ReadState> {
    const state = await watchers.read(executionId);
    if (!state) throw notFound(executionId);
    return state;
  }

  /**
   * The state, once no first call of the agent is under way in a workflow task, or after a short while. What is sent
   * to a workflow in such a task makes Temporal discard how the task ended if it ended the execution: the agent would
   * be called again.
   */
  async function getBetweenTasks(executionId: string): Promise<ReadState> {
    const isCalling = ({ startedAt, pending }: ReadState) =>
      startedAt === undefined && pending.task?.isStarted === true;
    const state = await get(executionId);
    if (!isCalling(state)) return state;
    const later = await watchers.waitFor(executionId, (now) => !isCalling(now), { timeoutMs: firstCallMs });
    if (!later) throw notFound(executionId);
    return later;
  }

  /** Signals an open execution; `closed` when it has ended in the meantime. */
  async function signalOpen(executionId: string, send: () => Promise<void>): Promise<'sent' | 'closed'> {
    try {
      await send();
      return 'sent';
    } catch (err) {
      if (!isNotFound(err)) throw err;
      watchers.forget(executionId);
      return 'closed';
    }
  }

  const reportQueue = createReportQueue((executionId, reports) =>
    call(() => client.workflow.getHandle(executionId).signal(agentReportSignal, reports)),
  );

  const detailsOf = createActivityDetails(async (executionId) => {
    const { raw } = await call(() => client.workflow.getHandle(executionId).describe(), DESCRIBE_DEADLINE_MS);
    const [activity] = raw.pendingActivities ?? [];
    return activity && activityDetails(activity);
  });
  const durations = createDurations((target) => call(() => pastDurations(client, target), VISIBILITY_DEADLINE_MS));

  /** One at a time per execution: each carries on from the complete log of the run before. */
  const redelivering = new Set<string>();

  async function startRedelivery(executionId: string, policy: ExecutionPolicy): Promise<ReadState> {
    const read = await histories.readNow(executionId);
    if (!read) throw notFound(executionId);
    const { state, isClosed, runId } = read;
    if (!isOver(state))
      throw new ApiError('execution_not_finished', `execution is ${state.status}: there is nothing to deliver yet`, {
        executionId,
      });
    if (!state.webhook) throw new ApiError('no_webhook', 'no webhook is registered on this execution', { executionId });
    if (!isClosed) throw deliveryInProgress(executionId);
    if (state.webhookEvents.length >= MAX_WEBHOOK_ATTEMPTS)
      throw new ApiError(
        'too_many_deliveries',
        `a webhook is not sent again after ${MAX_WEBHOOK_ATTEMPTS} recorded attempts`,
        { executionId },
      );
    const { callback: _, eventIds: __, pending: ___, ...carried } = state;
    try {
      await startWorkflow<typeof redeliverWebhook>('redeliverWebhook', {
        workflowId: executionId,
        taskQueue,
        args: [{ state: carried, previousRunId: runId, policy }],
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        workflowIdConflictPolicy: 'FAIL',
        staticSummary: `redeliver ${formatTarget(state.target)}`,
      });
    } catch (err) {
      throw err instanceof WorkflowExecutionAlreadyStartedError ? deliveryInProgress(executionId) : err;
    }
    return state;
  }

  return {
    get,
    find: watchers.read,
    waitFor: watchers.waitFor,
    waitForClose: histories.waitForClose,
    followLog: watchers.followLog,
    readLog: histories.readLog,

    start: async (executionId, input) => {
      try {
        await startWorkflow<typeof executeTarget>('executeTarget', {
          workflowId: executionId,
          taskQueue,
          args: [input],
          workflowIdReusePolicy: 'REJECT_DUPLICATE',
          workflowIdConflictPolicy: 'FAIL',
          // The first agent call is made within a workflow task: a dead worker must be noticed as soon as in any other.
          workflowTaskTimeout: Math.min(input.policy.agent.heartbeatTimeoutMs, MAX_TASK_TIMEOUT_MS),
          typedSearchAttributes: [
            { key: SEARCH_ATTRIBUTES.target, value: formatTarget(input.target) },
            { key: SEARCH_ATTRIBUTES.runId, value: input.runId },
            ...(input.parentExecutionId === undefined
              ? []
              : [{ key: SEARCH_ATTRIBUTES.parentExecutionId, value: input.parentExecutionId }]),
          ],
          staticSummary: formatTarget(input.target),
        });
        return 'started';
      } catch (err) {
        if (err instanceof WorkflowExecutionAlreadyStartedError) return 'existing';
        if (!isMisconfigured(err)) throw err;
        throw new ApiError(
          'temporal_misconfigured',
          "the Temporal namespace is missing or lacks Perdure's search attributes: see docs/operations.md",
        );
      }
    },

    detailsOf,
    estimateOf: (state) => estimateOf(state, durations.of(formatTarget(state.target))),

    query: async (executionId) => {
      try {
        const state = await call(() => client.workflow.getHandle(executionId).query(stateQuery), QUERY_DEADLINE_MS);
        return { ...state, pending: (await get(executionId)).pending };
      } catch (err) {
        if (isNotFound(err)) throw notFound(executionId);
        // A workflow that was terminated cannot know it: its history does.
        if (err instanceof QueryRejectedError) return await get(executionId);
        if (isOutage(err) && !isTimeout(err)) throw err;
        throw new ApiError('temporal_unavailable', 'no worker answered for this execution', { retryAfterS: 2 });
      }
    },

    report: async (executionId, reports) => {
      const state = await getBetweenTasks(executionId);
      if (isOver(state)) throw conflict(state);
      // What has no id of the agent's gets one: it tells whether a report came before the end or after it.
      const prefix = randomBytes(6).toString('base64url');
      const news = reports.filter(({ id }) => id === undefined || !state.eventIds?.includes(id));
      if (news.length === 0) return state;
      if (state.sequence > MAX_REPORTS)
        throw new ApiError(
          'too_many_reports',
          `an execution takes at most ${MAX_REPORTS} reports; its outcome still counts`,
          {
            executionId,
            retryAfterS: 60,
          },
        );
      const marked = news.map((report, i) => ({ ...report, id: report.id ?? `${prefix}.${i}` }));
      const isThere = ({ eventIds = [] }: ExecutionState) => marked.every(({ id }) => eventIds.includes(id));
      const sent = await signalOpen(executionId, () => reportQueue.add(executionId, marked));
      if (sent === 'closed') throw conflict(await get(executionId));
      // Who has reported and then reads finds what was reported.
      const seen = await watchers.waitFor(executionId, (now) => isThere(now) || isOver(now), {
        timeoutMs: SEE_OWN_SIGNAL_MS,
      });
      if (seen && isOver(seen) && !isThere(seen)) throw conflict(seen);
      return seen ?? state;
    },

    callback: async (executionId, ending) => {
      const before = await getBetweenTasks(executionId);
      const word = before.outcome ?? before.callback;
      if (word) return sameWordOrConflict(before, word, ending);

      const callbackId = randomUUID();
      const handle = client.workflow.getHandle(executionId);
      const sent = await signalOpen(executionId, () =>
        call(() => handle.signal(agentCallbackSignal, { ...ending, callbackId })),
      );
      const after =
        sent === 'closed'
          ? await get(executionId)
          : await watchers.waitFor(executionId, (state) => state.callback !== undefined || isOver(state), {
              timeoutMs: SEE_OWN_SIGNAL_MS,
            });
      if (!after) throw notFound(executionId);
      const first = after.outcome ?? after.callback;
      if (first) return sameWordOrConflict(after, first, ending);
      // Temporal has it, but keeps it back while a task is open, as on a worker that has just died: whether it is the
      // first word is not known yet, and two that differ must not both be told yes.
      throw new ApiError('temporal_unavailable', 'not known yet whether this callback counts; send it again', {
        executionId,
        retryAfterS: 2,
      });
    },

    cancel: async (executionId, reason) => {
      const state = await getBetweenTasks(executionId);
      if (isOver(state)) throw conflict(state);
      const handle = client.workflow.getHandle(executionId);
      const ask = async () => {
        // The request itself cannot carry a reason into workflow code. The first one counts, and signals are bounded.
        if (reason !== undefined && state.cancelReason === undefined) await handle.signal(cancelReasonSignal, reason);
        await handle.cancel();
      };
      const sent = await signalOpen(executionId, () => call(ask));
      if (sent === 'closed') throw conflict(await get(executionId));
      return state;
    },

    redeliver: async (executionId, policy) => {
      if (redelivering.has(executionId)) throw deliveryInProgress(executionId);
      redelivering.add(executionId);
      try {
        return await startRedelivery(executionId, policy);
      } finally {
        redelivering.delete(executionId);
        watchers.forget(executionId);
      }
    },
  };
}

/** @param executionId left out where what was asked for is no id: it is not echoed */
export function notFound(executionId?: string): ApiError {
  return new ApiError('execution_not_found', 'execution not found', executionId === undefined ? {} : { executionId });
}

function deliveryInProgress(executionId: string): ApiError {
  return new ApiError('delivery_in_progress', 'a delivery of this webhook is under way', {
    executionId,
    retryAfterS: 5,
  });
}

function conflict(state: ExecutionState): ApiError {
  return new ApiError('execution_finished', `execution is already ${state.status}`, { executionId: state.executionId });
}

/** The same end told twice is no news. Only a result can differ in a way that matters: then one of the two is lost. */
function sameWordOrConflict(state: ReadState, first: Ending, again: Ending): ReadState {
  const sameResult =
    first.status !== 'succeeded' ||
    again.status !== 'succeeded' ||
    canonicalJson(first.result) === canonicalJson(again.result);
  if (first.status === again.status && sameResult) return state;
  const how = first.status === again.status ? 'with another result' : `not ${again.status}`;
  throw new ApiError('conflicting_callback', `execution has already ended as ${first.status}, ${how}`, {
    executionId: state.executionId,
  });
}
