import { disturbed } from './excuses.ts';
import type { Case, Violation } from './promises.ts';
import { factsOf } from './ledger.ts';
import type { FactOf } from './ledger.ts';

/** After its answer has left the agent, a call may be not yet recorded for so long: on a busy machine. */
const RECORDING_MS = 3_000;
/** A call that was on its way to the agent when its callback was acknowledged, or when its caller was stopped. */
const ON_ITS_WAY_MS = 1_000;
/** Timers of Node may fire a little early. */
const EARLY_MS = 20;

type Called = FactOf<'agent-called'>;

/** I3: explains the calls of an agent one by one. */
export function checkCalls({ planned: { n }, facts, disturbances }: Case): Violation[] {
  const violations: Violation[] = [];
  const calls = factsOf(facts, 'agent-called');
  const answers = factsOf(facts, 'agent-answered');
  const cuts = factsOf(facts, 'agent-cut');
  const [acknowledged] = factsOf(facts, 'callback-answered').filter(({ status }) => status === 200);
  const violate = (what: string) => violations.push({ invariant: 'I3', n, what });

  for (const [i, call] of calls.entries()) {
    const isStopped = disturbed(disturbances, ['worker', 'link:worker-agent'], acknowledged?.at ?? 0, call.at, 0);
    if (acknowledged && call.at > acknowledged.at + ON_ITS_WAY_MS && !isStopped)
      violate(`call ${call.call} came although its callback had been acknowledged`);
    const before = calls[i - 1];
    if (before) explain(before, call);
  }
  return violations;

  function explain(before: Called, call: Called): void {
    const answer = answers.find((one) => one.call === before.call);
    const isEarly = answer?.notBefore !== undefined && call.at < answer.notBefore - EARLY_MS;
    if (answer?.retryable && !isEarly) return;
    const cut = cuts.find((one) => one.call === before.call);
    const settledAt = (answer ?? cut ?? call).at;
    const until = Math.min(call.at, settledAt + RECORDING_MS);
    const excuse = disturbed(
      disturbances,
      [before.caller, 'temporal', 'link:worker-temporal', 'link:worker-agent'],
      before.at,
      until,
      RECORDING_MS,
    );
    // With an answer that could not be recorded, its Retry-After is lost too.
    if (excuse || wasStopped(call)) return;
    if (isEarly) {
      violate(`call ${call.call} came before the Retry-After of the one before`);
      return;
    }
    const how = answer ? `was answered ${answer.how}` : cut ? 'was cut by its caller' : 'is still open';
    violate(`call ${call.call} has no reason: call ${before.call}, by ${before.caller}, ${how}`);
  }

  /** Taken up by a process that was stopped before it could make the call, and made it when it came to. */
  function wasStopped({ caller, at }: Called): boolean {
    return disturbances.some(
      ({ whats, how, to }) => whats.includes(caller) && how === 'stopped' && at >= to && at <= to + ON_ITS_WAY_MS,
    );
  }
}
