import { formatTarget } from '../workflows/execution.ts';
import type { Target } from '../workflows/execution.ts';
import type { ReadAnswer } from './agent-answer.ts';

/** Targets are named by clients: what is remembered of them must not grow with what they can think of. */
const MAX_TARGETS = 10_000;

/** How long targets took to answer last, as far as this process has seen it. */
export interface Pace {
  measure: (target: Target, answer: Promise<ReadAnswer>) => void;
  /** What is worth waiting of `patienceMs`: nothing for a target whose last answer took longer than that. */
  patienceFor: (target: Target, patienceMs: number) => number;
}

export function createPace(): Pace {
  const lastMs = new Map<string, number>();
  return {
    measure: (target, answer) => {
      const startedAt = performance.now();
      const note = (ms: number) => {
        if (lastMs.size >= MAX_TARGETS) lastMs.clear();
        lastMs.set(formatTarget(target), ms);
      };
      answer.then(
        // A stream is never over within a task: there would be no way to report what it brings.
        ({ kind }) => note(kind === 'stream' ? Infinity : performance.now() - startedAt),
        () => undefined,
      );
    },
    patienceFor: (target, patienceMs) => ((lastMs.get(formatTarget(target)) ?? 0) > patienceMs ? 0 : patienceMs),
  };
}
