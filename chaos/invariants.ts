import { checkCalls } from './calls.ts';
import { checkDeliveries } from './deliveries.ts';
import { byExecution, factsOf } from './ledger.ts';
import type { Disturbance, Fact } from './ledger.ts';
import { checkLogs } from './log-promises.ts';
import { checkOutcomes } from './outcomes.ts';
import type { Case, Violation } from './promises.ts';
import type { PlannedExecution } from './plan.ts';
import { checkRefusals } from './refusals.ts';
import { checkSteering } from './steer-promises.ts';

export interface Evidence {
  executions: readonly PlannedExecution[];
  facts: readonly Fact[];
  disturbances: readonly Disturbance[];
}

export function checkInvariants({ executions, facts, disturbances }: Evidence): Violation[] {
  const violations: Violation[] = [];
  for (const [n, own] of byExecution(facts)) {
    violations.push(...secretsSeen(n, own), ...replaysFailed(n, own));
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
      ...checkLogs(one),
      ...checkSteering(one),
      ...checkRefusals(planned, n, own, disturbances),
    );
  }
  return violations;
}

function replaysFailed(n: number, own: readonly Fact[]): Violation[] {
  return factsOf(own, 'replay-failed').map(({ id, why }) => ({ invariant: 'I9', n, what: `${id}: ${why}` }));
}

function secretsSeen(n: number, own: readonly Fact[]): Violation[] {
  return factsOf(own, 'secret-seen').map(({ where }) => ({ invariant: 'I6', n, what: `a secret shows in: ${where}` }));
}
