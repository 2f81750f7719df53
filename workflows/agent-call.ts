import { ApplicationFailure, TimeoutFailure, TimeoutType } from '@temporalio/common';
import {
  ActivityCancellationType,
  proxyActivities,
  proxyLocalActivities,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import { agentTaskQueue } from './contract.ts';
import type {
  Activities,
  AgentAnswer,
  AgentCall,
  CallDeclined,
  CallInFlight,
  ExecutionPolicy,
  FirstAgentCall,
} from './contract.ts';
import { REPORT_GRACE_MS } from './delivery.ts';
import { causeOf, NoTimeLeft, workerDied } from './endings.ts';
import type { Lane } from './execution.ts';

/** Stands for "no limit" where Temporal wants a number. */
const UNLIMITED_MS = 10 * 365 * 24 * 3_600_000;

/**
 * Events until the start of a first workflow task, signals not counted. When there are more, that task was begun by a
 * worker that did not end it: it may have called the agent, and Temporal counts such calls only of activities.
 */
const UNDISTURBED_HISTORY = 3;

type AgentPolicy = ExecutionPolicy['agent'];

export interface CallProgress {
  /** What is left of the execution's time; undefined: no limit. */
  remainingMs: () => number | undefined;
  onLane: (lane: Lane) => void;
  /** The workflow is in its first task, in which the agent may be called at once. */
  isFirstTask: boolean;
  /** Signals that have come so far. */
  signalCount: () => number;
  /** It is paused, or was asked to cancel: no further call is to be made. */
  isHeld: () => boolean;
  /** The workflow keeps the execution's time limit itself. */
  isLimitKept: boolean;
}

/**
 * Calls an agent until it has answered, as often as the policy allows. The first call is made within the workflow
 * task at hand, which spares the execution of a prompt agent half of what an activity costs. One that takes longer
 * goes on as an activity of the worker that made it: the task is not held up, the agent not called again.
 */
export async function callUntilAnswered(
  call: AgentCall,
  policy: AgentPolicy,
  { isFirstTask, remainingMs, onLane, signalCount, isHeld, isLimitKept }: CallProgress,
): Promise<AgentAnswer> {
  /** What Temporal is to hold an activity to. */
  const activityLimitMs = () => (isLimitKept ? undefined : remainingMs());
  const byActivity = (more: Partial<AgentCall> = {}) => {
    onLane('activity');
    const leftMs = isLimitKept ? remainingMs() : undefined;
    const retryUntil = leftMs === undefined ? undefined : new Date(Date.now() + leftMs).toISOString();
    const activityCall = { ...call, ...more, ...(retryUntil !== undefined && { retryUntil }) };
    return callByActivity(activityCall, policy, activityLimitMs());
  };
  const { patienceMs } = policy;
  if (patienceMs === undefined || !isFirstTask) return byActivity();
  let declined: CallDeclined;
  try {
    onLane('local');
    // Decided by the activity, whose answer is recorded: on replay the history looks longer.
    const isDoneOver = workflowInfo().historyLength - signalCount() > UNDISTURBED_HISTORY;
    const first = await beginCall({ ...call, patienceMs, isDoneOver }, remainingMs());
    if (first.kind === 'in-flight') {
      onLane('activity');
      return await followCall(first, call, policy, activityLimitMs());
    }
    if (first.kind !== 'declined') return first;
    declined = first;
  } catch (err) {
    const pauseMs = pauseBeforeRetry(err, policy, remainingMs());
    if (pauseMs > 0) await sleep(pauseMs);
    // A call that a worker may still hold is for the activity to find.
    if (isHeld() && !isSilence(err)) return { kind: 'handed-back', attempts: 1 };
    return byActivity({
      attemptsBefore: 1,
      ...(isSilence(err) && { mayBeHeld: true }),
      ...(isHeld() && { isHeld: true }),
    });
  }
  return byActivity(declined.mayHaveBeenMade ? { attemptsBefore: 1, mayBeHeld: true } : {});
}

function beginCall(call: Omit<FirstAgentCall, 'taskEndsAt'>, remainingMs = Infinity) {
  const { taskTimeoutMs } = workflowInfo();
  // Past the end of the task, which is what tells that the worker is dead.
  const limitMs = taskTimeoutMs + call.patienceMs + REPORT_GRACE_MS;
  const { beginAgentCall } = proxyLocalActivities<Activities>({
    // Never both: where they coincide either may be told, and only one of them is worth another call.
    ...(remainingMs <= limitMs ? { scheduleToCloseTimeout: remainingMs } : { startToCloseTimeout: limitMs }),
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    retry: { maximumAttempts: 1 },
  });
  return beginAgentCall({ ...call, taskEndsAt: new Date(Date.now() + taskTimeoutMs).toISOString() });
}

function followCall(
  { taskQueue }: CallInFlight,
  call: AgentCall,
  policy: AgentPolicy,
  remainingMs: number | undefined,
) {
  const { followAgentCall } = proxyActivities<Activities>({
    ...callTimeouts(policy, remainingMs),
    taskQueue,
    // Nobody else polls that queue: a worker that does not take it up is dead.
    scheduleToStartTimeout: policy.heartbeatTimeoutMs,
    retry: { maximumAttempts: 1 },
  });
  return followAgentCall(call);
}

function callByActivity(call: AgentCall, policy: AgentPolicy, remainingMs: number | undefined): Promise<AgentAnswer> {
  const { patienceMs, maximumAttempts, initialIntervalMs, backoffCoefficient, maximumIntervalMs } = policy;
  const { attemptsBefore = 0, mayBeHeld } = call;
  const attemptsLeft = maximumAttempts - attemptsBefore;
  if (attemptsLeft < 1 && !mayBeHeld) throw workerDied();
  const { callAgent } = proxyActivities<Activities>({
    ...callTimeouts(policy, remainingMs),
    ...(patienceMs !== undefined && { taskQueue: agentTaskQueue(workflowInfo().taskQueue) }),
    retry: {
      maximumAttempts: Math.max(1, attemptsLeft),
      initialInterval: Math.min(initialIntervalMs * backoffCoefficient ** attemptsBefore, maximumIntervalMs),
      backoffCoefficient,
      maximumInterval: maximumIntervalMs,
    },
  });
  return callAgent({ ...call, ...(attemptsLeft < 1 && { mustBeHeld: true }) });
}

function callTimeouts({ attemptTimeoutMs, heartbeatTimeoutMs }: AgentPolicy, remainingMs: number | undefined) {
  return {
    // The activity keeps the limit of a call itself; this one is for an activity that cannot.
    startToCloseTimeout: attemptTimeoutMs === undefined ? UNLIMITED_MS : attemptTimeoutMs + REPORT_GRACE_MS,
    ...(remainingMs !== undefined && { scheduleToCloseTimeout: remainingMs }),
    heartbeatTimeout: heartbeatTimeoutMs,
    cancellationType: ActivityCancellationType.TRY_CANCEL,
  };
}

/** Nothing was heard of the worker that made the call: it is dead, or so slow that it still holds it. */
function isSilence(err: unknown): boolean {
  const cause = causeOf(err);
  return cause instanceof TimeoutFailure && cause.timeoutType !== TimeoutType.SCHEDULE_TO_CLOSE;
}

/** What Temporal's retry policy decides of every later call; throws the failure where no other call is to follow. */
function pauseBeforeRetry(err: unknown, policy: AgentPolicy, remainingMs = Infinity): number {
  if (policy.maximumAttempts === 1) throw err;
  if (isSilence(err)) return 0;
  const cause = causeOf(err);
  if (!(cause instanceof ApplicationFailure) || cause.nonRetryable) throw err;
  const [, nextRetryDelayMs] = (cause.details ?? []) as [unknown, number?];
  const pauseMs = nextRetryDelayMs ?? policy.initialIntervalMs;
  if (pauseMs >= remainingMs) throw new NoTimeLeft(err);
  return pauseMs;
}
