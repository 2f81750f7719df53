import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAgentCallbacks } from './agent-callbacks.ts';
import type { Call } from './agent-callbacks.ts';
import { answerTo, isSent, succeeded } from './answers.ts';
import { createAsking } from './asking.ts';
import { clock } from './ledger.ts';
import type { Ledger } from './ledger.ts';
import type { PlannedExecution } from './plan.ts';
import { CALLER_HEADER } from './stand.ts';

export interface Agents {
  port: number;
  /** Resolves when no call and no callback is under way any more. */
  idle: () => Promise<void>;
  close: () => Promise<void>;
}

/** More than the second by which timers of Temporal may be late, or it could not be told from a short pause. */
const RETRY_AFTER_S = 3;
/** Longer than the longest limit of an execution that is waited for in vain. */
const LATE_AFTER_MS = 1_500;

/** Every agent there is, in one server: how it behaves is in the plan of the execution that it is called for. */
export async function startAgents(
  ledger: Ledger,
  seed: number,
  planOf: (n: number) => PlannedExecution | undefined,
): Promise<Agents> {
  const calls = new Map<number, number>();
  const callbacks = createAgentCallbacks(ledger);
  const { report } = callbacks;
  const asking = createAsking(ledger, seed, callbacks);
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
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>;
    const turn = Number(request.headers['perdure-turn'] ?? 1);
    const { n } = (turn > 1 ? body.input : body) as { n: number };
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
      ...(turn > 1 && { turn }),
    });
    response.once('close', () => {
      if (!response.writableFinished) ledger.add(n, { kind: 'agent-cut', id, call });
    });
    await behave({
      planned,
      id,
      call,
      turn,
      body,
      messages: new Map(),
      response,
      callbackUrl: String(request.headers['perdure-callback-url']),
      eventsUrl: String(request.headers['perdure-events-url']),
      reply: async (status, how, answer, { gave, retryable = false, retryAfterS, headers } = {}) => {
        if (response.destroyed) return;
        response.writeHead(status, {
          'content-type': 'application/json',
          ...(retryAfterS && { 'retry-after': String(retryAfterS) }),
          ...headers,
        });
        response.end(answer === undefined ? '' : JSON.stringify(answer));
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
        await Promise.all([sleep(workMs), callbacks.tellSteps(call, workMs)]);
        if (planned.messages) await callbacks.applyMessages(call);
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
      case 'ask':
      case 'ask-in-stream':
      case 'ask-later':
      case 'ask-again':
      case 'ask-two':
        return asking.takeTurn(call);
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
