import type { Disturbance, Fact } from './ledger.ts';
import type { PlannedExecution } from './plan.ts';

/** The promises that are checked, numbered as in the docs. */
export const INVARIANTS = {
  I1: 'each acknowledged execution exists and has exactly one end',
  I2: 'an end that anyone has seen never changes',
  I3: 'every call of an agent is explained',
  I4: 'every webhook is good, complete, signed, and not before its outcome',
  I5: 'all channels tell the same outcome, and it is a right one',
  I6: 'no secret shows',
  I7: 'a log is numbered without a gap, reads the same everywhere, and has all that the agent was told is in it',
  I8: 'what a client says to an execution is recorded, reaches the agent, and has its effect',
  I9: 'every history comes to the same again when it is replayed',
  REFUSAL: 'every refusal is one that is allowed',
  LIVE: 'once the faults are over, everything ends in time',
} as const;
export type Invariant = keyof typeof INVARIANTS;

export interface Violation {
  invariant: Invariant;
  /** The execution; -1 where none is concerned. */
  n: number;
  what: string;
}

/** All that is known of one planned execution. */
export interface Case {
  planned: PlannedExecution;
  facts: readonly Fact[];
  disturbances: readonly Disturbance[];
}
