import { disturbed } from './excuses.ts';
import type { Violation } from './promises.ts';
import { factsOf } from './ledger.ts';
import type { Disturbance, Fact, FactOf } from './ledger.ts';
import { isSame } from './outcomes.ts';
import type { PlannedExecution } from './plan.ts';

/** An API waits two seconds for a history; one that has waited so long may say so, whatever the reason. */
const SLOW_MS = 1_900;

/** What may come too late. An agent's question does so with the checkpoint that goes before it. */
const AFTER_THE_END = ['cancel', 'message', 'pause', 'resume', 'approval', 'event', 'callback'];

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
    if (code === 'execution_finished' && AFTER_THE_END.includes(to)) return undefined;
    // Whether somebody else was quicker is judged with the questions.
    if (to === 'approval' && code === 'not_waiting') return undefined;
    if (to === 'resume' && code === 'not_paused') {
      const isAgain = factsOf(facts, 'steer-sent').filter((sent) => sent.what === 'resume' && sent.at < at).length > 1;
      const isExcused = disturbed(disturbances, ['temporal', 'link:api-temporal', 'api'], sentAt, at);
      return isAgain || isExcused ? undefined : 'it had been paused';
    }
    return planned || n === -1 ? 'never allowed here' : 'nobody had planned it';
  }
}
