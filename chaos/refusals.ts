import { disturbed } from './excuses.ts';
import type { Violation } from './promises.ts';
import { factsOf } from './ledger.ts';
import type { Disturbance, Fact, FactOf } from './ledger.ts';
import { isSame } from './outcomes.ts';
import type { PlannedExecution } from './plan.ts';

/** An API waits two seconds for a history; one that has waited so long may say so, whatever the reason. */
const SLOW_MS = 1_900;

/** REFUSAL: whoever was refused, or not answered, was so for a reason. And I1: what exists is not denied. */
export function checkRefusals(
  planned: PlannedExecution | undefined,
  n: number,
  facts: readonly Fact[],
  disturbances: readonly Disturbance[],
): Violation[] {
  const violations: Violation[] = [];
  const violate = (what: string) => violations.push({ invariant: 'REFUSAL', n, what });
  const outcome = factsOf(facts, 'told')[0]?.outcome;

  for (const refused of factsOf(facts, 'refused')) {
    if (refused.code === 'execution_not_found') {
      violations.push({ invariant: 'I1', n, what: `${refused.to}: an acknowledged execution was not found` });
      continue;
    }
    const why = whyNot(refused);
    if (why !== undefined) violate(`${refused.to} was refused by ${refused.status} ${refused.code}: ${why}`);
  }
  for (const { at, sentAt, why } of factsOf(facts, 'submit-cut'))
    if (!disturbed(disturbances, ['link:client-api', 'api', 'temporal', 'link:api-temporal'], sentAt, at))
      violate(`a submit was not answered, and nothing was wrong: ${why}`);
  // The same end told twice is no conflict.
  for (const callback of factsOf(facts, 'callback-answered'))
    if (callback.status === 409 && outcome && isSame(callback.gave, outcome))
      violate('an agent that told the very end of its execution was told of a conflict');
  return violations;

  function whyNot({ to, at, sentAt, status, code, retryAfter }: FactOf<'refused'>): string | undefined {
    if (status === 503) {
      if (code !== 'temporal_unavailable') return 'not a code for 503';
      if (!retryAfter) return 'without Retry-After';
      const isExcused = disturbed(disturbances, ['temporal', 'link:api-temporal', 'api'], sentAt, at);
      return isExcused || at - sentAt >= SLOW_MS ? undefined : 'Temporal could be reached';
    }
    if (to === 'callback' && code === 'conflicting_callback') return undefined;
    if (to === 'cancel' && code === 'execution_finished') return undefined;
    return planned || n === -1 ? 'never allowed here' : 'nobody had planned it';
  }
}
