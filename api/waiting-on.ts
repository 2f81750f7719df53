import type { ExecutionState } from '../workflows/state.ts';
import { isOver } from '../workflows/state.ts';
import type { ActivityDetails } from './activity-details.ts';
import type { Surroundings } from './execution-view.ts';
import type { Pending } from './pending.ts';
import type { WaitingOn } from './schemas.ts';

const PASSING_MS = 1_000;

/** Why an execution is not moving; null when it is over and everybody was told. */
export function waitingOn(
  state: ExecutionState,
  pending: Pending,
  { details, queuePosition }: Pick<Surroundings, 'details' | 'queuePosition'> = {},
): WaitingOn | null {
  if (isOver(state)) return pending.delivery ? activityOf('webhook', pending.delivery.since, WEBHOOK, details) : null;
  if (state.paused) {
    const { since, by, reason } = state.paused;
    return plain(
      'human',
      since,
      `paused${by === undefined ? '' : ` by ${by}`}${reason === undefined ? '' : `: ${reason}`}`,
    );
  }
  if (state.waiting && !state.answer) return plain('human', state.waiting.since, state.waiting.text);
  if (state.isCancelling) {
    const since = pending.progressAt ?? state.startedAt ?? state.createdAt;
    return plain('agent', since, 'the agent was asked to cancel, and may take a while');
  }
  if (state.permit && !state.permit.isGranted)
    return {
      ...plain('permit', state.permit.since, 'its agent takes only so many at a time'),
      queue_position: queuePosition ?? null,
    };
  if (pending.call) return activityOf('agent', pending.call.since, AGENT, details);
  const { task, accepted, pause } = pending;
  // A task comes and goes within milliseconds: only one that stays says what it waits for.
  if (task && (state.startedAt === undefined || Date.now() - Date.parse(task.since) > PASSING_MS)) {
    if (!task.isStarted) return plain('worker', task.since, 'no worker has taken it up yet');
    if (state.startedAt === undefined) return plain('agent', task.since, 'a worker is calling the agent');
    return plain('worker', task.since, 'a worker is at work on it');
  }
  if (pause)
    return {
      ...plain('retry', pause.since, AGENT.failed),
      attempt: 2,
      next_retry_at: pause.until,
      last_error: pause.error,
    };
  const since = accepted?.since ?? state.startedAt ?? state.createdAt;
  if (state.status === 'waiting') return plain('human', since, state.currentAction ?? 'the agent waits for somebody');
  return plain('callback', since, 'the agent has said 202 and has not called back yet');
}

interface Words {
  unstarted: string;
  started: string;
  failed: string;
}

const AGENT: Words = {
  unstarted: 'no worker has a slot for the call of the agent',
  started: 'the agent has been called and has not answered yet',
  failed: 'the last call of the agent failed; it is called again',
};
const WEBHOOK: Words = {
  unstarted: 'no worker has taken up the delivery of the webhook',
  started: 'the webhook is being delivered',
  failed: 'the last attempt at the webhook failed; it is sent again',
};

/** @param kind what it waits on while the activity runs; before that it is a worker, between two tries the next one */
function activityOf(kind: 'agent' | 'webhook', since: string, words: Words, details?: ActivityDetails): WaitingOn {
  if (!details) return plain(kind, since, words.started);
  const { isStarted, attempt, nextAttemptAt, lastHeartbeatAt, lastError } = details;
  const isRetried = !isStarted && attempt > 1;
  const detail = isStarted ? words.started : isRetried ? words.failed : words.unstarted;
  return {
    ...plain(isStarted ? kind : isRetried ? 'retry' : 'worker', since, detail),
    attempt,
    next_retry_at: isRetried ? (nextAttemptAt ?? null) : null,
    last_heartbeat_at: lastHeartbeatAt ?? null,
    last_error: lastError ?? null,
  };
}

function plain(kind: WaitingOn['kind'], since: string, detail: string): WaitingOn {
  return { kind, since, detail, attempt: null, next_retry_at: null, last_heartbeat_at: null, last_error: null };
}
