import { formatTarget } from '../workflows/execution.ts';
import type { Target } from '../workflows/execution.ts';
import type { ReadAnswer } from './agent-answer.ts';

/** Targets are named by clients: what is remembered of them must not grow with what they can think of. */
const MAX_TARGETS = 10_000;

/** How long targets took to answer last, as far as this process has seen it. */
export interface Pace {
  measure: (target: Target, answer: Promise<ReadAnswer>) => void;
  /** Its answer did not come in time, or comes as a stream. Others need not wait for it to learn the same. */
  noteSlow: (target: Target) => void;
  /** What is worth waiting of `patienceMs`: nothing for a target whose last answer took longer than that. */
  patienceFor: (target: Target, patienceMs: number) => number;
}

export function createPace(): Pace {
  const lastMs = new Map<string, number>();

  function note(target: Target, ms: number): void {
    const key = formatTarget(target);
    if (lastMs.size >= MAX_TARGETS && !lastMs.has(key)) lastMs.clear();
    lastMs.set(key, ms);
  }

  return {
    measure: (target, answer) => {
      const startedAt = performance.now();
      answer.then(
        // A stream is never over within a task: there would be no way to report what it brings.
        ({ kind }) => note(target, kind === 'stream' ? Infinity : performance.now() - startedAt),
        () => undefined,
      );
    },
    noteSlow: (target) => note(target, Infinity),
    patienceFor: (target, patienceMs) => ((lastMs.get(formatTarget(target)) ?? 0) > patienceMs ? 0 : patienceMs),
  };
}
