import { setTimeout as sleep } from 'node:timers/promises';
import { DECISIONS } from './asking.ts';
import { isAsking } from './faults.ts';
import type { Send } from './http.ts';
import { clock, firstOf } from './ledger.ts';
import type { Ledger, Steer } from './ledger.ts';
import type { PlannedExecution } from './plan.ts';

export interface SteeringDeps {
  ledger: Ledger;
  send: Send;
  apiOf: (turn: number) => string;
  signal: AbortSignal;
  /** Polls once. @returns the status, where it is told */
  read: (n: number, id: string, turn: number) => Promise<string>;
}

const TIMEOUT_MS = 10_000;
const RETRY_MS = 300;
const LOOK_MS = 50;
const WATCH_MS = 500;
/** Its client gets to know an execution within this, or never. */
const KNOWN_MS = 90_000;
/** So long a decision is tried: then there may be another question. */
const DECIDE_MS = 1_000;

interface Question {
  id: string;
  /** The turn that has ended with it. */
  question: number;
}

/**
 * All that a client does with an execution but submit and follow it: it cancels it, pauses it, speaks to its agent,
 * answers what that asks.
 * @returns what does as planned, and resolves when that is done
 */
export function createSteering(deps: SteeringDeps): (planned: PlannedExecution) => Promise<void> {
  const { ledger, send, apiOf, signal, read } = deps;
  const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => undefined);

  /** As soon as anybody knows it: who waits for a synchronous answer does not. */
  async function idOf(n: number): Promise<string | undefined> {
    const known = await firstOf(
      ledger,
      (fact) =>
        fact.n === n && (fact.kind === 'agent-called' || (fact.kind === 'submit-answered' && fact.id !== undefined)),
      { timeoutMs: KNOWN_MS, signal },
    );
    return known && 'id' in known ? known.id : undefined;
  }

  /** Posts it again and again, to the one API and the other, until it is answered. @returns the answer's status */
  async function insist(
    request: { n: number; id: string; path: string; body: unknown; turn?: number },
    {
      to,
      onSent,
      onAnswered,
    }: { to: string; onSent: () => void; onAnswered: (sentAt: number, status: number, code?: string) => void },
  ): Promise<number> {
    const { n, id, path, body } = request;
    for (let turn = request.turn ?? n; !signal.aborted; turn++) {
      onSent();
      const url = `${apiOf(turn)}/api/v1/executions/${id}/${path}`;
      const answer = await send({ n, url, body, timeoutMs: TIMEOUT_MS }).catch(() => undefined);
      if (answer) {
        const { sentAt, status, headers, body: told } = answer;
        onAnswered(sentAt, status, status < 300 ? undefined : String(told.code));
        const retryAfter = headers.has('retry-after');
        if (status >= 300) ledger.add(n, { kind: 'refused', to, sentAt, status, code: String(told.code), retryAfter });
        if (status < 500) return status;
      }
      await pause(RETRY_MS);
    }
    return 0;
  }

  async function cancel(n: number, afterMs: number): Promise<void> {
    const id = await idOf(n);
    await pause(afterMs);
    if (id === undefined) return;
    await insist(
      { n, id, path: 'cancel', body: { reason: `plan ${n}` } },
      {
        to: 'cancel',
        onSent: () => ledger.add(n, { kind: 'cancel-sent', id }),
        onAnswered: (sentAt, status) => ledger.add(n, { kind: 'cancel-answered', id, sentAt, status }),
      },
    );
  }

  function say(
    what: Steer,
    {
      n,
      id,
      body,
      detail = '',
      turn = n,
      question,
    }: { n: number; id: string; body: object; detail?: string; turn?: number; question?: number },
  ): Promise<number> {
    const said = { id, what, detail, ...(question !== undefined && { question }) };
    return insist(
      { n, id, path: what === 'message' ? 'messages' : what, body, turn },
      {
        to: what,
        onSent: () => ledger.add(n, { kind: 'steer-sent', ...said }),
        onAnswered: (sentAt, status, code) =>
          ledger.add(n, { kind: 'steer-answered', ...said, sentAt, status, ...(code !== undefined && { code }) }),
      },
    );
  }

  async function speak(n: number, messages: NonNullable<PlannedExecution['messages']>): Promise<void> {
    const id = await idOf(n);
    if (id === undefined) return;
    await Promise.all(
      messages.map(async ({ atMs, isTwice, isInterrupt }, i) => {
        await pause(atMs);
        const message = `msg-${n}-${i}`;
        const body = { id: message, text: message, interrupt: isInterrupt };
        const sayIt = (turn: number) => say('message', { n, id, body, detail: message, turn });
        await Promise.all(isTwice ? [sayIt(n), sayIt(n + 1)] : [sayIt(n)]);
      }),
    );
  }

  async function hold(n: number, { afterMs, lastsMs }: NonNullable<PlannedExecution['hold']>): Promise<void> {
    const id = await idOf(n);
    await pause(afterMs);
    if (id === undefined || (await say('pause', { n, id, body: { by: 'plan' } })) !== 200) return;
    await pause(lastsMs);
    for (let turn = n, status = 'paused'; !signal.aborted; turn++) {
      if (status === 'paused') await say('resume', { n, id, body: { by: 'plan' }, turn });
      // A pause that was not answered may have been held up on its way, and take effect only now.
      status = await read(n, id, turn);
      if (isOver(n)) return;
      await pause(WATCH_MS);
    }
  }

  /** Answers whenever anybody sees that the agent waits, until the execution is over. */
  async function answer(planned: PlannedExecution): Promise<void> {
    const { n } = planned;
    let seen: Question | undefined;
    const unwatch = ledger.watch((fact) => {
      if (fact.n !== n || (fact.kind !== 'question-seen' && fact.kind !== 'told-open')) return;
      const { id, question } = fact;
      if (question !== undefined && !(seen && seen.question > question)) seen = { id, question };
    });
    for (let answered = 0; !isOver(n) && !signal.aborted; await pause(LOOK_MS)) {
      const question: Question | undefined = seen;
      seen = undefined;
      if (!question || question.question <= answered) continue;
      if (await decide(planned, question)) answered = question.question;
      // A log says it once, and it may be that nobody can decide yet: the execution is paused.
      else seen ??= question;
    }
    unwatch();
  }

  /** @returns whether it is decided; else there is something else to be answered first, or nothing any more */
  async function decide(planned: PlannedExecution, { id, question }: Question): Promise<boolean> {
    const { n, agent, namesTurn, answersTwice } = planned;
    const decision = DECISIONS[(n + question) % 2 === 0 ? 0 : 1];
    const said = agent === 'ask-two' ? DECISIONS : answersTwice ? [decision, decision] : [decision];
    for (const until = clock() + DECIDE_MS; clock() < until && !isOver(n) && !signal.aborted; await pause(RETRY_MS)) {
      const statuses = await Promise.all(
        said.map((detail, i) => {
          const body = { decision: detail, ...(namesTurn && { turn: question }) };
          return say('approval', { n, id, body, detail, turn: n + i, question });
        }),
      );
      if (statuses.includes(200)) return true;
    }
    return false;
  }

  const over = new Set<number>();
  const isOver = (n: number) => over.has(n);
  ledger.watch((fact) => {
    if (fact.kind === 'told') over.add(fact.n);
  });

  return async (planned) => {
    const { n, agent, cancelAfterMs, messages, hold: held } = planned;
    await Promise.all([
      cancelAfterMs !== undefined && cancel(n, cancelAfterMs),
      messages && speak(n, messages),
      held && hold(n, held),
      isAsking(agent) && answer(planned),
    ]);
  };
}
