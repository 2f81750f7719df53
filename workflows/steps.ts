/** Results that an agent has stored while it works: the part of the reducer that keeps the first one of each key. */
import type { StoredStep } from './execution.ts';
import type { ExecutionState, Numbering } from './state.ts';

/** Of one execution. What is more is refused. */
export const MAX_STEPS = 500;
export const MAX_STEPS_CHARS = 512 * 1024;

export interface KeptStep extends StoredStep {
  /** Number of the log entry that stored it. */
  sequence: number;
}

export function applyStep(state: ExecutionState, step: StoredStep, number: Numbering): void {
  const { steps = [] } = state;
  if (steps.some(({ key }) => key === step.key) || !hasRoomFor(steps, step)) return;
  state.steps = [...steps, { ...step, sequence: state.sequence + 1 }];
  number({ kind: 'step', step });
}

export function hasRoomFor(steps: readonly StoredStep[], step: StoredStep): boolean {
  return steps.length < MAX_STEPS && charsOf([...steps, step]) <= MAX_STEPS_CHARS;
}

function charsOf(steps: readonly StoredStep[]): number {
  return steps.reduce((sum, { key, value }) => sum + key.length + JSON.stringify(value).length, 0);
}
