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
  /** The first turn: ends with a question, and leaves a checkpoint. */
  ask: (call: Call) => Promise<void>;
  /** The next: ends with a result that has in it what it got. */
  goOn: (call: Call) => Promise<void>;
}

export function createAsking(ledger: Ledger, seed: number, { report }: AgentCallbacks): Asking {
  async function ask(call: Call): Promise<void> {
    const { planned, id, turn, reply } = call;
    const { n, agent, workMs } = planned;
    const checkpoint = answerTo(seed, n, 'checkpoint');
    const waiting = { kind: 'approval', text: `may ${n} go on?`, options: DECISIONS };
    const isByCallback = isAskingByCallback(agent);
    if (isByCallback) await reply(202, '202');
    await sleep(workMs);
    ledger.add(n, { kind: 'agent-asked', id, call: call.call, turn, checkpoint: canonical(checkpoint) });
    const askByCallback = () => report(call, ASKED, { waiting, checkpoint });
    if (agent === 'ask-again') await Promise.all(Array.from({ length: TIMES }, askByCallback));
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

  async function goOn(call: Call): Promise<void> {
    const { planned, id, turn, body, reply } = call;
    const { n, agent, workMs } = planned;
    const decision = String((body.answer as { decision?: unknown } | undefined)?.decision);
    const [input, checkpoint] = [canonical(body.input ?? null), canonical(body.checkpoint ?? null)];
    ledger.add(n, { kind: 'agent-resumed', id, call: call.call, turn, input, checkpoint, decision });
    const result = { answer: answerTo(seed, n), checkpoint: body.checkpoint, decision };
    const isByCallback = isAskingByCallback(agent);
    if (isByCallback) await reply(202, '202');
    await sleep(workMs);
    if (isByCallback) return report(call, succeeded(result));
    await reply(200, '200', result, { gave: succeeded(result) });
  }

  return { ask, goOn };
}
