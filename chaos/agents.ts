import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { canonical, clock } from './ledger.ts';
import type { Ledger, Outcome } from './ledger.ts';
import type { PlannedExecution } from './plan.ts';
import { CALLER_HEADER } from './stand.ts';

export interface Agents {
  port: number;
  /** Resolves when no call and no callback is under way any more. */
  idle: () => Promise<void>;
  close: () => Promise<void>;
}

/** One call, and how to answer it. Every answer is in the ledger, and so is a caller that left before it. */
interface Call {
  planned: PlannedExecution;
  id: string;
  /** The how-manyeth call of this execution, from 1. */
  call: number;
  callbackUrl: string;
  eventsUrl: string;
  response: ServerResponse;
  reply: (
    status: number,
    how: string,
    body?: unknown,
    more?: { gave?: Outcome; retryable?: boolean; retryAfterS?: number },
  ) => Promise<void>;
}

const CALLBACK_GIVE_UP_MS = 90_000;
const STEPS = 3;
const STEP_TRIES = 20;
const CALLBACK_TIMEOUT_MS = 15_000;
/** More than the second by which timers of Temporal may be late, or it could not be told from a short pause. */
const RETRY_AFTER_S = 3;
/** Longer than the longest limit of an execution that is waited for in vain. */
const LATE_AFTER_MS = 1_500;

/** The right answer to an input, which the client can work out too. */
export function answerTo(seed: number, n: number, variant: 'a' | 'b' = 'a'): unknown {
  return { n, variant, proof: createHash('sha256').update(`${seed} ${n} ${variant}`).digest('hex').slice(0, 16) };
}

const succeeded = (result: unknown): Outcome => ({ status: 'succeeded', result: canonical(result) });

/** Every agent there is, in one server: how it behaves is in the plan of the execution that it is called for. */
export async function startAgents(
  ledger: Ledger,
  seed: number,
  planOf: (n: number) => PlannedExecution | undefined,
): Promise<Agents> {
  const calls = new Map<number, number>();
  const callbacks = new Map<string, number>();
  const busy = new Set<Promise<void>>();
  const server = createServer((request, response) => {
    const work = handle(request, response).catch(() => void response.destroy());
    busy.add(work);
    void work.finally(() => busy.delete(work));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const id = String(request.headers['x-execution-id']);
    if (request.url?.startsWith('/_internal/')) {
      ledger.add(-1, { kind: 'agent-told', id });
      response.writeHead(204).end();
      return;
    }
    const { n } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { n: number };
    const planned = planOf(n);
    if (!planned) throw new Error(`nobody has planned ${n}`);
    const call = (calls.get(n) ?? 0) + 1;
    calls.set(n, call);
    ledger.add(n, {
      kind: 'agent-called',
      id,
      call,
      attempt: Number(request.headers['perdure-attempt']),
      caller: String(request.headers[CALLER_HEADER]),
    });
    response.once('close', () => {
      if (!response.writableFinished) ledger.add(n, { kind: 'agent-cut', id, call });
    });
    await behave({
      planned,
      id,
      call,
      response,
      callbackUrl: String(request.headers['perdure-callback-url']),
      eventsUrl: String(request.headers['perdure-events-url']),
      reply: async (status, how, body, { gave, retryable = false, retryAfterS } = {}) => {
        if (response.destroyed) return;
        const headers = {
          'content-type': 'application/json',
          ...(retryAfterS && { 'retry-after': String(retryAfterS) }),
        };
        response.writeHead(status, headers).end(body === undefined ? '' : JSON.stringify(body));
        if (!(await isSent(response))) return;
        const notBefore = retryAfterS && { notBefore: clock() + retryAfterS * 1000 };
        ledger.add(n, { kind: 'agent-answered', id, call, how, retryable, ...(gave && { gave }), ...notBefore });
      },
    });
  }

  async function behave(call: Call): Promise<void> {
    const { planned, response, reply } = call;
    const { n, workMs } = planned;
    const result = answerTo(seed, n);
    const answer = async () => {
      await sleep(workMs);
      await reply(200, '200', result, { gave: succeeded(result) });
    };
    const accept = () => reply(202, '202', { status: 'processing' });
    const isFirst = call.call === 1;
    switch (planned.agent) {
      case 'answer':
        return answer();
      case 'stream':
        return stream(call, true);
      case 'broken-stream':
        return stream(call, !isFirst);
      case 'accept':
        await accept();
        await Promise.all([sleep(workMs), tellSteps(call, workMs)]);
        return report(call, succeeded(result));
      case 'callback':
        // The callback comes first, the answer of the call itself never.
        await sleep(workMs);
        return report(call, succeeded(result));
      case 'refuse':
        return reply(422, '422', { error: `no ${n}` }, { gave: { status: 'failed' } });
      case '500':
        if (isFirst) return reply(500, '500', { error: 'not now' }, { retryable: true });
        return answer();
      case '500-for-ever':
        return reply(500, '500', { error: 'never' }, { gave: { status: 'failed' }, retryable: true });
      case '429':
        if (isFirst) return reply(429, '429', undefined, { retryable: true, retryAfterS: RETRY_AFTER_S });
        return answer();
      case 'crash':
        if (!isFirst) return answer();
        await sleep(workMs / 4);
        ledger.add(n, { kind: 'agent-answered', id: call.id, call: call.call, how: 'crash', retryable: true });
        response.destroy();
        return;
      case 'hang':
        return;
      case 'silent':
        return accept();
      case 'duplicate':
        await accept();
        await sleep(workMs);
        await Promise.all(Array.from({ length: 5 }, () => report(call, succeeded(result))));
        return report(call, succeeded(result));
      case 'late':
        await accept();
        await sleep((planned.timeoutMs ?? 0) + LATE_AFTER_MS);
        return report(call, succeeded(result));
      case 'conflict':
        await accept();
        await sleep(workMs);
        await report(call, succeeded(result));
        return report(call, { status: 'failed', error: `changed my mind about ${n}` });
      case 'race':
        await accept();
        await sleep(workMs);
        await Promise.all([report(call, succeeded(result)), report(call, succeeded(answerTo(seed, n, 'b')))]);
        return;
    }
  }

  async function stream({ planned, response, id, call }: Call, isWhole: boolean): Promise<void> {
    const { n, workMs } = planned;
    const result = answerTo(seed, n);
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    for (let step = 1; step <= 3 && !response.destroyed; step++) {
      response.write(`${JSON.stringify({ type: 'progress', progress_pct: step * 25 })}\n`);
      await sleep(workMs / 3);
    }
    if (response.destroyed) return;
    response.end(isWhole ? `${JSON.stringify({ type: 'result', result })}\n` : '');
    if (!(await isSent(response))) return;
    ledger.add(n, {
      kind: 'agent-answered',
      id,
      call,
      how: isWhole ? 'stream' : 'broken stream',
      retryable: !isWhole,
      ...(isWhole && { gave: succeeded(result) }),
    });
  }

  /** Steps by callback, each again until there is an answer: its id keeps it from being recorded twice. */
  async function tellSteps({ planned: { n }, id, call, eventsUrl }: Call, workMs: number): Promise<void> {
    for (let i = 1; i <= STEPS; i++) {
      await sleep(workMs / STEPS);
      const step = `call ${call} step ${i}`;
      const body = JSON.stringify({ id: `${call}.${i}`, type: 'step', kind: 'thought', name: step });
      for (let tries = 0; tries < STEP_TRIES; tries++) {
        const signal = AbortSignal.timeout(CALLBACK_TIMEOUT_MS);
        const answer = await fetch(eventsUrl, { method: 'POST', body, signal }).catch(() => undefined);
        const text = await answer?.text().catch(() => undefined);
        if (answer && text !== undefined) ledger.add(n, { kind: 'event-answered', id, step, status: answer.status });
        if (answer && answer.status < 500) break;
        await sleep(250);
      }
    }
  }

  /** As an SDK does it: again and again, until there is an answer that says whether it was taken. */
  async function report({ planned: { n }, id, callbackUrl }: Call, gave: Outcome): Promise<void> {
    const body = JSON.stringify({
      status: gave.status,
      ...(gave.result !== undefined && { result: JSON.parse(gave.result) as unknown }),
      ...(gave.error !== undefined && { error: gave.error }),
    });
    for (const until = clock() + CALLBACK_GIVE_UP_MS; clock() < until; await sleep(250)) {
      const callback = (callbacks.get(id) ?? 0) + 1;
      callbacks.set(id, callback);
      const sentAt = clock();
      ledger.add(n, { kind: 'callback-sent', id, callback, gave });
      try {
        const signal = AbortSignal.timeout(CALLBACK_TIMEOUT_MS);
        const response = await fetch(callbackUrl, { method: 'POST', body, signal });
        const text = await response.text();
        const { status } = response;
        ledger.add(n, { kind: 'callback-answered', id, callback, sentAt, status, gave });
        if (status < 400) return;
        const { code = '' } = JSON.parse(text) as { code?: string };
        const retryAfter = response.headers.has('retry-after');
        ledger.add(n, { kind: 'refused', to: 'callback', sentAt, status, code, retryAfter });
        if (status < 500) return;
      } catch {
        ledger.add(n, { kind: 'callback-cut', id, callback });
      }
    }
  }

  return {
    port: (server.address() as AddressInfo).port,
    idle: async () => {
      while (busy.size > 0) await Promise.all(busy);
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Whether the whole answer has left this process; a caller that is gone does not get it. */
async function isSent(response: ServerResponse): Promise<boolean> {
  await Promise.race([once(response, 'finish'), once(response, 'close')]);
  return response.writableFinished;
}
