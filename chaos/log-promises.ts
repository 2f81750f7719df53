import { factsOf } from './ledger.ts';
import type { Case, Violation } from './promises.ts';

/** I7: what was seen of the log of one execution. */
export function checkLogs({ planned: { n }, facts }: Case): Violation[] {
  const violations: Violation[] = [];
  const violate = (what: string) => violations.push({ invariant: 'I7', n, what });
  const logs = factsOf(facts, 'log');
  for (const { channel, flaws } of logs) for (const flaw of flaws) violate(`${channel}: ${flaw}`);
  const [first] = logs;
  if (!first) return violations;
  for (const { channel, digest } of logs)
    if (digest !== first.digest) violate(`${channel} reads otherwise than ${first.channel}`);
  const recorded = factsOf(facts, 'event-answered').filter(({ status }) => status === 200);
  for (const { step } of recorded)
    if (!first.steps.includes(step)) violate(`the agent was told that ${step} is recorded, and it is not`);
  for (const step of new Set(first.steps)) {
    const times = first.steps.filter((other) => other === step).length;
    if (times > 1) violate(`${step} is there ${times} times`);
  }
  return violations;
}
