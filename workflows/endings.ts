import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  RetryState,
  TemporalFailure,
  TimeoutFailure,
  TimeoutType,
} from '@temporalio/common';
import type { CallHandedBack } from './contract.ts';
import type { AgentFailure, Ending } from './execution.ts';

/** The failure types in history, so that operators can filter by them in the Temporal Web UI. */
export const FAILURE_TYPES = {
  failed: 'ExecutionFailed',
  timeout: 'ExecutionTimeout',
  cancelled: 'ExecutionCancelled',
} as const;

export const WORKER_DIED: AgentFailure = {
  error: 'The worker that called the agent last died during the call',
  category: 'internal_error',
};

export function workerDied(): ApplicationFailure {
  return ApplicationFailure.create({ message: WORKER_DIED.error, details: [WORKER_DIED] });
}

/** AgentField's words for a sync call that took too long. */
export function timeoutEnding(timeoutMs: number): Ending {
  return {
    status: 'timeout',
    error: 'Agent timeout',
    category: 'agent_timeout',
    errorDetails: `Execution exceeded ${timeoutMs / 1000} second limit`,
  };
}

/** A failure after which the agent would have been called again, had the execution had the time. */
export class NoTimeLeft extends Error {
  override readonly cause: unknown;

  constructor(cause: unknown) {
    super('no time is left for another call');
    this.cause = cause;
  }
}

/**
 * Turns the failure of `callAgent` into an ending. The activity has already decided what was worth retrying.
 * @param hasPassed whether the time limit has
 */
export function endingOfFailure(err: unknown, timeoutMs: number | undefined, hasPassed: () => boolean): Ending {
  const cause = causeOf(err);
  // The last failure is why the agent was to be called again. The limit is why it was not.
  if (timeoutMs !== undefined && (hadNoTimeLeft(err) || isNotStarted(cause)) && hasPassed())
    return timeoutEnding(timeoutMs);
  if (cause instanceof TimeoutFailure) return endingOfTimeout(cause, timeoutMs);
  if (cause instanceof ApplicationFailure) {
    const [failure] = (cause.details ?? []) as [AgentFailure?];
    if (failure) return endingOfAgentFailure(failure);
  }
  const message = cause instanceof TemporalFailure || cause instanceof CancelledFailure ? cause.message : String(cause);
  return { status: 'failed', error: `Execution failed: ${message}`, category: 'internal_error' };
}

function endingOfAgentFailure(failure: AgentFailure): Ending {
  return { status: failure.category === 'agent_timeout' ? 'timeout' : 'failed', ...failure };
}

/** Undefined where the agent is to be called again, as soon as it may. */
export function endingOfHandedBack(
  { attempts, failure, retryDelayMs = 0 }: CallHandedBack,
  maximumAttempts: number,
  remainingMs = Infinity,
): Ending | undefined {
  const mayBeCalled = attempts < maximumAttempts && retryDelayMs < remainingMs;
  return failure && !mayBeCalled ? endingOfAgentFailure(failure) : undefined;
}

/** Every process that took the call died with it. */
export function lostEnding(): Ending {
  return {
    status: 'failed',
    error: 'The instances of the agent node that took the call died with it',
    category: 'agent_unreachable',
  };
}

/** An agent wanted to know something, nobody said it in time, and it had no default. */
export function unansweredEnding(): Ending {
  return { status: 'timeout', error: 'Nobody answered in time', category: 'unanswered' };
}

function hadNoTimeLeft(err: unknown): boolean {
  return err instanceof NoTimeLeft || (err instanceof ActivityFailure && err.retryState === RetryState.TIMEOUT);
}

/** Also what Temporal says of an activity that had all the time of the execution and found no worker. */
function isNotStarted(cause: unknown): boolean {
  return cause instanceof TimeoutFailure && cause.timeoutType === TimeoutType.SCHEDULE_TO_START;
}

/** Why an activity failed: ordinary ones wrap it, local ones do not. */
export function causeOf(err: unknown): unknown {
  if (err instanceof NoTimeLeft) return causeOf(err.cause);
  return err instanceof ActivityFailure ? err.cause : err;
}

function endingOfTimeout(cause: TimeoutFailure, timeoutMs: number | undefined): Ending {
  switch (cause.timeoutType) {
    // Only the worker that holds a call is waited for by name.
    case TimeoutType.SCHEDULE_TO_START:
    case TimeoutType.HEARTBEAT:
      return { status: 'failed', ...WORKER_DIED };
    case TimeoutType.START_TO_CLOSE:
      return { status: 'timeout', error: 'Agent timeout', category: 'agent_timeout' };
    default:
      return timeoutMs === undefined
        ? { status: 'timeout', error: 'Agent timeout', category: 'agent_timeout' }
        : timeoutEnding(timeoutMs);
  }
}
