import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  TemporalFailure,
  TimeoutFailure,
  TimeoutType,
} from '@temporalio/common';
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

/** Turns the failure of `callAgent` into an ending. The activity has already decided what was worth retrying. */
export function endingOfFailure(err: unknown, timeoutMs: number | undefined): Ending {
  const cause = causeOf(err);
  if (cause instanceof TimeoutFailure) return endingOfTimeout(cause, timeoutMs);
  if (cause instanceof ApplicationFailure) {
    const [failure] = (cause.details ?? []) as [AgentFailure?];
    if (failure) return { status: failure.category === 'agent_timeout' ? 'timeout' : 'failed', ...failure };
  }
  const message = cause instanceof TemporalFailure || cause instanceof CancelledFailure ? cause.message : String(cause);
  return { status: 'failed', error: `Execution failed: ${message}`, category: 'internal_error' };
}

/** Why an activity failed: ordinary ones wrap it, local ones do not. */
export function causeOf(err: unknown): unknown {
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
