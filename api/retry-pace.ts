import type { ExecutionState } from '../workflows/state.ts';

const MAX_S = 15;

/** Seconds until asking again is worth it: an execution that has run for long is not about to end this second. */
export function retryAfterOf(state: ExecutionState): number {
  const ageS = Math.max(0, Date.now() - Date.parse(state.createdAt)) / 1000;
  return Math.min(MAX_S, Math.max(1, Math.round(ageS / 10)));
}
