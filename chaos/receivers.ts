import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import type { ReceiverBehaviour } from './faults.ts';
import { clock, outcomeIn } from './ledger.ts';
import type { Ledger } from './ledger.ts';
import type { PlannedExecution } from './plan.ts';
import { hasSecret, webhookSecrets } from './secrets.ts';

/** An answer that leaves at the very end of the time of an attempt may be heard or not. */
const READ_PATIENCE_MS = 1_000;

export interface Receivers {
  port: number;
  close: () => Promise<void>;
}

export interface ReceiversDeps {
  ledger: Ledger;
  seed: number;
  planOf: (n: number) => PlannedExecution | undefined;
  /** Whether Temporal has the outcome that a webhook tells, at this moment. Throws where it cannot be asked. */
  holdsOutcome: (id: string, told: { status: unknown; completed_at: unknown }) => Promise<boolean>;
  /** Reads an execution as its client would. */
  ask: (n: number, id: string) => Promise<void>;
}

type Payload = Record<string, unknown>;

/** More than the second by which timers of Temporal may be late, or it could not be told from a short pause. */
const RETRY_AFTER_S = 3;
const CHUNK = Buffer.alloc(64 * 1024, 'x');
const HUGE_BYTES = 32 * 1024 * 1024;
const DRIP_MS = 400;

/** Every webhook receiver there is, in one server: `/hook/{n}` behaves as the plan of execution n says. */
export async function startReceivers(deps: ReceiversDeps): Promise<Receivers> {
  const { ledger, seed, planOf } = deps;
  const attempts = new Map<number, number>();
  let deliveries = 0;
  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, place, number] = (request.url ?? '').split('?')[0]?.split('/') ?? [];
    const n = Number(number);
    const planned = planOf(n);
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    if (place === 'trap') {
      ledger.add(n, { kind: 'redirect-followed' });
      response.writeHead(204).end();
      return;
    }
    if (!planned) throw new Error(`nobody has planned ${n}`);
    const body = Buffer.concat(chunks).toString('utf8');
    const payload = JSON.parse(body) as Payload;
    const id = String(payload.execution_id);
    const delivery = ++deliveries;
    const attempt = (attempts.get(n) ?? 0) + 1;
    attempts.set(n, attempt);
    const outcome = outcomeIn(payload);
    const webhookId = String(request.headers['webhook-id']);
    ledger.add(n, {
      kind: 'webhook-arrived',
      id,
      delivery,
      webhookId,
      flaws: flawsOf(seed, n, request, body, payload),
    });
    if (outcome) ledger.add(n, { kind: 'told', id, channel: 'webhook', askedAt: clock(), outcome });
    response.once('close', () => {
      if (!response.writableFinished) ledger.add(n, { kind: 'webhook-unanswered', delivery, how: 'cut' });
    });

    // The answer waits for the read: as long as it does, what comes after the delivery cannot be in history.
    const found = await Promise.race([
      deps
        .holdsOutcome(id, { status: payload.status, completed_at: payload.completed_at })
        .then((holds) => (holds ? ('in-history' as const) : ('not-in-history' as const)))
        .catch(() => 'unreadable' as const),
      sleep(READ_PATIENCE_MS, 'unreadable' as const),
    ]);
    ledger.add(n, { kind: 'webhook-read', delivery, found });
    if (planned.receiverAsks) await deps.ask(n, id);
    await answer(n, delivery, attempt === 1 || planned.receiver === 'down' ? planned.receiver : 'take', response);
  }

  async function answer(
    n: number,
    delivery: number,
    behaviour: ReceiverBehaviour | undefined,
    response: ServerResponse,
  ): Promise<void> {
    const reply = async (status: number, headers: Record<string, string | number> = {}) => {
      if (response.destroyed) return;
      response.writeHead(status, headers).end();
      await Promise.race([once(response, 'finish'), once(response, 'close')]);
      if (!response.writableFinished) return;
      const notBefore = status === 429 ? { notBefore: clock() + RETRY_AFTER_S * 1000 } : {};
      ledger.add(n, { kind: 'webhook-answered', delivery, how: String(behaviour), status, ...notBefore });
    };
    switch (behaviour) {
      case undefined:
      case 'take':
        return reply(204);
      case '500':
      case 'down':
        return reply(500);
      case '302':
        return reply(302, { location: `/trap/${n}` });
      case '410':
        return reply(410);
      case '429':
        return reply(429, { 'retry-after': RETRY_AFTER_S });
      case 'reset':
        response.destroy();
        return;
      case 'slow-loris':
        // The head comes byte by byte and never ends.
        for (const byte of 'HTTP/1.1 200 OK\r\nx-slow: and-slower-and-slower-and-slower') {
          if (response.destroyed || response.socket === null) return;
          response.socket.write(byte);
          await sleep(DRIP_MS);
        }
        return;
      case 'huge': {
        if (response.destroyed) return;
        // The status is the answer, however long the rest is; it is drained only by who reads all of it.
        response.writeHead(200);
        let bytes = 0;
        response.once('close', () => ledger.add(n, { kind: 'answer-drained', bytes }));
        ledger.add(n, { kind: 'webhook-answered', delivery, how: 'huge', status: 200 });
        const endless = function* () {
          for (; bytes < HUGE_BYTES; bytes += CHUNK.length) yield CHUNK;
        };
        await pipeline(endless, response).catch(() => undefined);
        return;
      }
    }
  }

  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What is wrong with a webhook by itself: signatures, event, payload. */
function flawsOf(seed: number, n: number, request: IncomingMessage, body: string, payload: Payload): string[] {
  const { secret, header } = webhookSecrets(seed, n);
  const flaws: string[] = [];
  try {
    new Webhook(secret).verify(body, request.headers as Record<string, string>);
  } catch (err) {
    flaws.push(`webhook-signature: ${String(err)}`);
  }
  const expected = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
  if (request.headers['x-agentfield-signature'] !== expected) flaws.push('x-agentfield-signature is wrong');
  if (request.headers['x-tenant'] !== header) flaws.push('the registered header is missing');
  const event = payload.status === 'succeeded' ? 'execution.completed' : 'execution.failed';
  if (payload.event !== event) flaws.push(`event ${String(payload.event)} for ${String(payload.status)}`);
  if (outcomeIn(payload) === undefined) flaws.push(`status ${String(payload.status)} is no end`);
  if (hasSecret(body)) flaws.push('the payload shows a secret');
  return flaws;
}
