import { disturbed, ON_ITS_WAY_MS, wasStopped } from './excuses.ts';
import type { Case, Violation } from './promises.ts';
import { factsOf } from './ledger.ts';
import type { FactOf } from './ledger.ts';

/** After its answer has left the agent, a call may be not yet recorded for so long: on a busy machine. */
const RECORDING_MS = 3_000;
/** Timers of Node may fire a little early. */
const EARLY_MS = 20;

type Called = FactOf<'agent-called'>;

const turnOf = ({ turn = 1 }: { turn?: number }) => turn;

/** I3: explains the calls of an agent one by one, turn by turn. */
export function checkCalls({ planned: { n }, facts, disturbances }: Case): Violation[] {
  const violations: Violation[] = [];
  const calls = factsOf(facts, 'agent-called');
  const answers = factsOf(facts, 'agent-answered');
  const cuts = factsOf(facts, 'agent-cut');
  const acknowledged = factsOf(facts, 'callback-answered').filter(({ status }) => status === 200);
  const approvals = factsOf(facts, 'steer-sent').filter(({ what }) => what === 'approval');
  const pauses = factsOf(facts, 'steer-sent').filter(({ what }) => what === 'pause');
  const violate = (what: string) => violations.push({ invariant: 'I3', n, what });

  for (const turn of new Set(calls.map(turnOf))) {
    const ofTurn = calls.filter((call) => turnOf(call) === turn);
    const over = acknowledged.find((callback) => turnOf(callback) === turn);
    const next = calls.find((call) => turnOf(call) > turn);
    for (const [i, call] of ofTurn.entries()) {
      if (over) checkOver(call, over.at, 'its callback had been acknowledged');
      else if (next) checkOver(call, next.at, `turn ${turnOf(next)} had begun`);
      const before = ofTurn[i - 1];
      if (before) explain(before, call);
      else if (turn > 1) explainTurn(call, turn);
    }
  }
  return violations;

  function checkOver(call: Called, overAt: number, why: string): void {
    const isStopped = disturbed(disturbances, ['worker', 'link:worker-agent'], overAt, call.at, 0);
    if (call.at > overAt + ON_ITS_WAY_MS && !isStopped) violate(`call ${call.call} came although ${why}`);
  }

  function explainTurn({ call, at }: Called, turn: number): void {
    const isAsked = factsOf(facts, 'agent-asked').some((asked) => asked.turn === turn - 1 && asked.at < at);
    if (!isAsked) violate(`call ${call} begins turn ${turn}, and in the one before the agent had not asked`);
    else if (!approvals.some((sent) => sent.question === turn - 1 && sent.at < at))
      violate(`call ${call} begins turn ${turn} without an answer`);
  }

  function explain(before: Called, call: Called): void {
    const answer = answers.find((one) => one.call === before.call);
    const isEarly = answer?.notBefore !== undefined && call.at < answer.notBefore - EARLY_MS;
    if (answer?.retryable && !isEarly) return;
    const cut = cuts.find((one) => one.call === before.call);
    const settledAt = (answer ?? cut ?? call).at;
    // A call of a task that was done over waits in its worker until the execution goes on.
    const isHeld = pauses.some(({ at }) => at < call.at);
    const until = isHeld ? call.at : Math.min(call.at, settledAt + RECORDING_MS);
    const excuse = disturbed(
      disturbances,
      [before.caller, 'temporal', 'link:worker-temporal', 'link:worker-agent'],
      before.at,
      until,
      RECORDING_MS,
    );
    // With an answer that could not be recorded, its Retry-After is lost too.
    if (excuse || wasStopped(disturbances, call)) return;
    if (isEarly) {
      violate(`call ${call.call} came before the Retry-After of the one before`);
      return;
    }
    const how = answer ? `was answered ${answer.how}` : cut ? 'was cut by its caller' : 'is still open';
    violate(`call ${call.call} has no reason: call ${before.call}, by ${before.caller}, ${how}`);
  }
}
