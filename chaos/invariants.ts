import { checkCalls } from './calls.ts';
import { checkDeliveries } from './deliveries.ts';
import { byExecution, factsOf } from './ledger.ts';
import type { Disturbance, Fact } from './ledger.ts';
import { checkOutcomes } from './outcomes.ts';
import type { PlannedExecution } from './plan.ts';
import { checkRefusals } from './refusals.ts';

/** The promises that are checked. The first five are numbered as in the docs. */
export const INVARIANTS = {
  I1: 'each acknowledged execution exists and has exactly one end',
  I2: 'an end that anyone has seen never changes',
  I3: 'every call of an agent is explained',
  I4: 'every webhook is good, complete, signed, and not before its outcome',
  I5: 'all channels tell the same outcome, and it is a right one',
  I6: 'no secret shows',
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

export interface Evidence {
  executions: readonly PlannedExecution[];
  facts: readonly Fact[];
  disturbances: readonly Disturbance[];
}

/** All that is known of one planned execution. */
export interface Case {
  planned: PlannedExecution;
  facts: readonly Fact[];
  disturbances: readonly Disturbance[];
}

export function checkInvariants({ executions, facts, disturbances }: Evidence): Violation[] {
  const violations: Violation[] = [];
  for (const [n, own] of byExecution(facts)) {
    violations.push(...secretsSeen(n, own));
    const planned = executions[n];
    if (!planned) {
      for (const fact of own)
        if ('id' in fact && (fact.kind === 'told' || fact.kind === 'still-open'))
          violations.push({ invariant: 'I1', n, what: `nobody had asked for ${fact.id}` });
      violations.push(...checkRefusals(undefined, n, own, disturbances));
      continue;
    }
    const one: Case = { planned, facts: own, disturbances };
    violations.push(
      ...checkOutcomes(one),
      ...checkCalls(one),
      ...checkDeliveries(one),
      ...checkRefusals(planned, n, own, disturbances),
    );
  }
  return violations;
}

function secretsSeen(n: number, own: readonly Fact[]): Violation[] {
  return factsOf(own, 'secret-seen').map(({ where }) => ({ invariant: 'I6', n, what: `a secret shows in: ${where}` }));
}
