import { nameOf } from './faults.ts';
import { byExecution } from './ledger.ts';
import type { Disturbance, Fact } from './ledger.ts';
import type { Plan } from './plan.ts';

/** What became of all that was submitted. A run whose account does not balance, or whose faults did not happen, is void. */
export interface Balance {
  submitted: number;
  ended: number;
  refused: number;
  cutOff: number;
  /** What makes the run void. */
  flaws: string[];
  /** The executions among them. */
  unknown: number[];
}

export function balanceOf(plan: Plan, facts: readonly Fact[], disturbances: readonly Disturbance[]): Balance {
  const balance: Balance = { submitted: 0, ended: 0, refused: 0, cutOff: 0, flaws: [], unknown: [] };
  const groups = byExecution(facts);
  for (const { n } of plan.executions) {
    const fate = fateOf(groups.get(n) ?? []);
    if (fate === 'never submitted') {
      if (n < plan.atLeast) balance.flaws.push(`execution ${n} was never submitted`);
      continue;
    }
    balance.submitted += 1;
    if (fate !== 'unknown') {
      balance[fate] += 1;
      continue;
    }
    balance.flaws.push(`it is not known what became of execution ${n}`);
    balance.unknown.push(n);
  }
  for (const name of plan.names)
    if (!hasHappened(name, plan, groups, disturbances))
      balance.flaws.push(`${name} did not happen with work in flight`);
  return balance;
}

function fateOf(facts: readonly Fact[]): 'never submitted' | 'ended' | 'refused' | 'cutOff' | 'unknown' {
  if (!facts.some(({ kind }) => kind === 'submit-sent')) return 'never submitted';
  // Open or lost is an end too, as far as the account goes: the invariants judge it.
  if (facts.some(({ kind }) => kind === 'told' || kind === 'still-open' || kind === 'not-in-temporal')) return 'ended';
  if (facts.some((fact) => 'id' in fact && fact.id !== undefined)) return 'unknown';
  switch (facts.findLast(({ kind }) => kind === 'submit-answered' || kind === 'submit-cut')?.kind) {
    case 'submit-answered':
      return 'refused';
    case 'submit-cut':
      return 'cutOff';
    default:
      return 'unknown';
  }
}

function hasHappened(
  name: string,
  plan: Plan,
  groups: Map<number, Fact[]>,
  disturbances: readonly Disturbance[],
): boolean {
  const [side, behaviour] = name.split(':');
  if (side === 'agent')
    return plan.executions.some(
      ({ n, agent }) => agent === behaviour && groups.get(n)?.some(({ kind }) => kind === 'agent-called'),
    );
  if (side === 'receiver')
    return plan.executions.some(
      ({ n, receiver }) => receiver === behaviour && groups.get(n)?.some(({ kind }) => kind === 'webhook-arrived'),
    );
  const times = plan.faults.filter(({ fault }) => nameOf(fault) === name).length;
  const happened = disturbances.filter(({ fault, inFlight }) => fault === name && inFlight > 0).length;
  return happened >= times;
}
