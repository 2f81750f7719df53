import type { ExecutionState } from '../workflows/state.ts';

const MAX_S = 15;

/**
 * Seconds until asking again is worth it: half of the time that is left by the estimate; without one, a tenth of the
 * age, for what has run for long is not about to end this second.
 * @param completion ISO 8601
 */
export function retryAfterOf(state: ExecutionState, completion?: string): number {
  const now = Date.now();
  const leftS = completion === undefined ? Number.NaN : (Date.parse(completion) - now) / 1000;
  const ageS = Math.max(0, now - Date.parse(state.createdAt)) / 1000;
  const paceS = leftS > 0 ? leftS / 2 : ageS / 10;
  return Math.min(MAX_S, Math.max(1, Math.round(paceS)));
}
