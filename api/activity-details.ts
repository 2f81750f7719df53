import type { temporal } from '@temporalio/proto';
import { clip } from '../common/clip.ts';
import { toIso } from './event-time.ts';
import type { ReadState } from './pending.ts';

/** What Temporal tells of an activity that it tries, beyond what the history has. Times are ISO 8601. */
export interface ActivityDetails {
  isStarted: boolean;
  attempt: number;
  nextAttemptAt?: string;
  lastHeartbeatAt?: string;
  lastError?: string;
}

const MAX_ERROR = 500;
/** PendingActivityState of Temporal's API. */
const SCHEDULED = 1;

export function activityDetails(activity: temporal.api.workflow.v1.IPendingActivityInfo): ActivityDetails {
  const { state, attempt, nextAttemptScheduleTime, scheduledTime, lastHeartbeatTime, lastFailure } = activity;
  const next = nextAttemptScheduleTime ?? (state === SCHEDULED ? scheduledTime : undefined);
  return {
    isStarted: state !== SCHEDULED,
    attempt: attempt ?? 1,
    ...(next && { nextAttemptAt: toIso(next) }),
    ...(lastHeartbeatTime && { lastHeartbeatAt: toIso(lastHeartbeatTime) }),
    ...(lastFailure?.message && { lastError: clip(lastFailure.message, MAX_ERROR) }),
  };
}

/** Only who has waited for so long is not moving. */
const STUCK_MS = 2_000;
const FRESH_MS = 2_000;
const MAX_KEPT = 10_000;

/**
 * The same, asked for at most every two seconds and execution however many read it, and only of one that has waited
 * for a while: a poll of one that moves costs Temporal nothing. After the first time, readers get what is known while
 * the next answer is on its way.
 */
export function createActivityDetails(
  describe: (executionId: string) => Promise<ActivityDetails | undefined>,
): (state: ReadState) => Promise<ActivityDetails | undefined> {
  const kept = new Map<string, { askedAt: number; details: Promise<ActivityDetails | undefined> }>();

  function ask(executionId: string): Promise<ActivityDetails | undefined> {
    const details = describe(executionId).catch(() => undefined);
    kept.delete(executionId);
    kept.set(executionId, { askedAt: Date.now(), details });
    const [oldest] = kept.keys();
    if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest);
    return details;
  }

  return async ({ executionId, pending }) => {
    const since = (pending.call ?? pending.delivery)?.since;
    if (since === undefined || Date.now() - Date.parse(since) < STUCK_MS) return undefined;
    const known = kept.get(executionId);
    if (!known) return ask(executionId);
    if (Date.now() - known.askedAt > FRESH_MS) void ask(executionId);
    return known.details;
  };
}
