import { isOver } from '../workflows/state.ts';
import type { PastDurations } from './durations.ts';
import type { ReadState } from './pending.ts';

/** Where an estimate comes from. */
export const ESTIMATE_BASES = ['agent', 'progress', 'history'] as const;

export interface Estimate {
  /** ISO 8601. */
  completion: string;
  basis: (typeof ESTIMATE_BASES)[number];
}

/** Less of it says nothing about the rest. */
const MIN_PROGRESS_PCT = 5;

/**
 * When an execution should be done: as its agent says; else as far as it has got, by what that took; else as long as
 * most others of its target took, and once it has taken longer than half of them, as long as nine in ten did.
 */
export function estimateOf(state: ReadState, past: PastDurations | undefined, now = Date.now()): Estimate | undefined {
  const { estimatedCompletion, progressPct, startedAt, createdAt, pending } = state;
  if (estimatedCompletion !== undefined) return { completion: estimatedCompletion, basis: 'agent' };
  if (isOver(state)) return undefined;
  const start = Date.parse(startedAt ?? createdAt);
  const at = (ms: number, basis: Estimate['basis']): Estimate => ({ completion: new Date(ms).toISOString(), basis });
  if (progressPct !== undefined && progressPct >= MIN_PROGRESS_PCT && pending.progressAt !== undefined) {
    const end = start + ((Date.parse(pending.progressAt) - start) * 100) / progressPct;
    if (end > now) return at(end, 'progress');
  }
  if (!past) return undefined;
  const likely = [past.p50Ms, past.p90Ms].find((ms) => start + ms > now);
  return likely === undefined ? undefined : at(start + likely, 'history');
}
