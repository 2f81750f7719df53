import { QueryRejectedError } from '@temporalio/client';
import type { Client, WorkflowClient } from '@temporalio/client';
import { cancelRequestSignal, SEARCH_ATTRIBUTES, stateQuery } from '../workflows/contract.ts';
import type { ExecuteTargetInput, ExecutionPolicy } from '../workflows/contract.ts';
import type { executeTarget } from '../workflows/execute-target.ts';
import type { redeliverWebhook } from '../workflows/redeliver-webhook.ts';
import { formatTarget } from '../workflows/execution.ts';
import type { CancelRequest } from '../workflows/execution.ts';
import { isOver } from '../workflows/state.ts';
import { activityDetails, createActivityDetails } from './activity-details.ts';
import type { ActivityDetails } from './activity-details.ts';
import { createAgentWords } from './agent-words.ts';
import type { AgentWords } from './agent-words.ts';
import { createDurations } from './durations.ts';
import { estimateOf } from './estimate.ts';
import type { Estimate } from './estimate.ts';
import { permitQueueQuery, permitsWorkflowId } from '../workflows/permit-contract.ts';
import { createQueuePositions } from './queue-positions.ts';
import { pastDurations } from './list.ts';
import { ApiError } from './errors.ts';
import type { Histories } from './histories.ts';
import type { ReadState } from './pending.ts';
import { conflict, createSignalling, notFound } from './signalling.ts';
import { createSteps } from './steps.ts';
import type { Steps } from './steps.ts';
import { createSteering } from './steering.ts';
import type { Steering } from './steering.ts';
import {
  inTime,
  isMisconfigured,
  isNotFound,
  isOutage,
  isTimeout,
  WorkflowExecutionAlreadyStartedError,
} from '../common/temporal-errors.ts';
import type { Watchers } from './watchers.ts';

/** What routes do with executions; with `histories.ts`, `watchers.ts` and `list.ts` all that the API asks of Temporal. */
export interface Executions extends AgentWords, Steering, Steps {
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
  /** Its place in the queue of its agent, from 1; undefined where it is in none, or that is not known. */
  queuePositionOf: (state: ReadState) => Promise<number | undefined>;
  /** When it should be done, as far as that is known at once. */
  estimateOf: (state: ReadState) => Estimate | undefined;
  /** The workflow's own answer, which needs a worker. */
  query: (executionId: string) => Promise<ReadState>;
  cancel: (executionId: string, request: CancelRequest) => Promise<ReadState>;
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

/** Every redelivery carries the attempts of all before: past this no further one is begun. */
const MAX_WEBHOOK_ATTEMPTS = 100;
const CALL_DEADLINE_MS = 5_000;
/** Temporal takes no more. */
const MAX_TASK_TIMEOUT_MS = 120_000;
const VISIBILITY_DEADLINE_MS = 10_000;
const DESCRIBE_DEADLINE_MS = 2_000;
const QUERY_DEADLINE_MS = 10_000;

export function createExecutions(deps: ExecutionsDeps): Executions {
  const { client, starter, taskQueue, histories, watchers } = deps;
  const signalling = createSignalling(client, watchers, deps.patienceMs);
  const { call, get } = signalling;
  const startWorkflow: WorkflowClient['start'] = (type, options) =>
    starter
      ? inTime(CALL_DEADLINE_MS, starter.workflow.start(type, { ...options, requestEagerStart: true }))
      : call(() => client.workflow.start(type, options));

  const detailsOf = createActivityDetails(async (executionId) => {
    const { raw } = await call(() => client.workflow.getHandle(executionId).describe(), DESCRIBE_DEADLINE_MS);
    const [activity] = raw.pendingActivities ?? [];
    return activity && activityDetails(activity);
  });
  const queuePositionOf = createQueuePositions((node) =>
    call(
      () => client.workflow.getHandle(permitsWorkflowId(node, taskQueue)).query(permitQueueQuery),
      DESCRIBE_DEADLINE_MS,
    ),
  );
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
    const { callback: _, eventIds: __, pending: ___, history: ____, ...carried } = state;
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
          ...(input.priority && { priority: input.priority }),
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
    queuePositionOf,
    estimateOf: (state) => estimateOf(state, durations.of(formatTarget(state.target))),

    query: async (executionId) => {
      try {
        const state = await call(() => client.workflow.getHandle(executionId).query(stateQuery), QUERY_DEADLINE_MS);
        const { pending, history } = await get(executionId);
        return { ...state, pending, history };
      } catch (err) {
        if (isNotFound(err)) throw notFound(executionId);
        // A workflow that was terminated cannot know it: its history does.
        if (err instanceof QueryRejectedError) return await get(executionId);
        if (isOutage(err) && !isTimeout(err)) throw err;
        throw new ApiError('temporal_unavailable', 'no worker answered for this execution', { retryAfterS: 2 });
      }
    },

    ...createAgentWords(signalling, client),
    ...createSteering(signalling, client),
    ...createSteps(signalling, client),

    cancel: async (executionId, request) => {
      const state = await signalling.getOpen(executionId);
      const handle = client.workflow.getHandle(executionId);
      // The first reason counts, and signals are bounded.
      const { reason, graceMs } = request;
      const isNews = (reason !== undefined && state.cancelReason === undefined) || graceMs !== undefined;
      const ask = async () => {
        // The request itself cannot carry anything into workflow code.
        if (isNews) await handle.signal(cancelRequestSignal, request);
        await handle.cancel();
      };
      const sent = await signalling.signalOpen(executionId, () => call(ask));
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

function deliveryInProgress(executionId: string): ApiError {
  return new ApiError('delivery_in_progress', 'a delivery of this webhook is under way', {
    executionId,
    retryAfterS: 5,
  });
}
