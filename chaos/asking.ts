import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentCallbacks, Call } from './agent-callbacks.ts';
import { answerTo, isSent, succeeded } from './answers.ts';
import { isAskingByCallback } from './faults.ts';
import { canonical } from './ledger.ts';
import type { Ledger, Outcome } from './ledger.ts';

export const DECISIONS = ['yes', 'no'] as const;
const ASKED: Outcome = { status: 'waiting' };
/** How often at once, where it is asked again. */
const TIMES = 5;

export interface Asking {
  /** One turn: ends with a question and leaves a checkpoint; the last one with a result that has in it what it got. */
  takeTurn: (call: Call) => Promise<void>;
}

export function createAsking(ledger: Ledger, seed: number, { report }: AgentCallbacks): Asking {
  /** How those that ask again can say the last question once more. */
  const questions = new Map<string, () => Promise<void>>();

  async function takeTurn(call: Call): Promise<void> {
    const { planned, turn } = call;
    if (turn > 1) noteResumed(call);
    if (turn <= (planned.questions ?? 1)) return ask(call);
    return end(call);
  }

  async function ask(call: Call): Promise<void> {
    const { planned, id, turn, reply } = call;
    const { n, agent, workMs } = planned;
    const checkpoint = { left: answerTo(seed, n, 'checkpoint'), turn };
    const waiting = { kind: 'approval', text: `may ${n} go on after turn ${turn}?`, options: DECISIONS };
    const isByCallback = isAskingByCallback(agent);
    if (isByCallback) await reply(202, '202');
    await Promise.all([sleep(workMs), askLate(call)]);
    ledger.add(n, { kind: 'agent-asked', id, call: call.call, turn, checkpoint: canonical(checkpoint) });
    const askByCallback = () => report(call, ASKED, { waiting, checkpoint });
    if (agent === 'ask-again') {
      questions.set(id, askByCallback);
      await Promise.all(Array.from({ length: TIMES }, askByCallback));
    }
    if (isByCallback) return askByCallback();
    if (agent === 'ask-in-stream') return askInStream(call, { type: 'waiting', ...waiting, checkpoint });
    await reply(200, 'question', { waiting, checkpoint }, { headers: { 'perdure-status': 'waiting' } });
  }

  async function askInStream({ planned: { n }, id, call, response }: Call, frame: object): Promise<void> {
    if (response.destroyed) return;
    response.writeHead(200, { 'content-type': 'application/x-ndjson' }).end(`${JSON.stringify(frame)}\n`);
    if (!(await isSent(response))) return;
    ledger.add(n, { kind: 'agent-answered', id, call, how: 'question', retryable: false });
  }

  async function end(call: Call): Promise<void> {
    const { planned, body, reply } = call;
    const { n, agent, workMs } = planned;
    const result = { answer: answerTo(seed, n), checkpoint: body.checkpoint, decision: decisionIn(body) };
    const isByCallback = isAskingByCallback(agent);
    if (isByCallback) await reply(202, '202');
    await Promise.all([sleep(workMs), askLate(call)]);
    if (isByCallback) return report(call, succeeded(result));
    await reply(200, '200', result, { gave: succeeded(result) });
  }

  /** The question of the turn before once more, while the next one is under way. */
  async function askLate({ id, turn }: Call): Promise<void> {
    if (turn > 1) await questions.get(id)?.();
  }

  function noteResumed({ planned: { n }, id, call, turn, body }: Call): void {
    const [input, checkpoint] = [canonical(body.input ?? null), canonical(body.checkpoint ?? null)];
    ledger.add(n, { kind: 'agent-resumed', id, call, turn, input, checkpoint, decision: decisionIn(body) });
  }

  return { takeTurn };
}

function decisionIn({ answer }: Record<string, unknown>): string {
  return String((answer as { decision?: unknown } | undefined)?.decision);
}
