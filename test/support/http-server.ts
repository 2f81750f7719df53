import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

/** A request as it arrived, byte for byte. */
export interface Received {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
  /** Milliseconds since the epoch. */
  at: number;
}

export interface TestServer {
  url: string;
  received: Received[];
  /** Waits until so many requests came that are as wanted. */
  waitFor: (count: number, isWanted?: (request: Received) => boolean, timeoutMs?: number) => Promise<Received[]>;
  close: () => Promise<void>;
}

export type Answer = (request: Received, response: ServerResponse, raw: IncomingMessage) => void | Promise<void>;

const DEADLINE_MS = 60_000;

/** A real HTTP server on a free loopback port that keeps what it gets and answers as told. */
export async function httpServer(t: Pick<TestContext, 'after'> | undefined, answer: Answer): Promise<TestServer> {
  const received: Received[] = [];
  const listeners = new Set<() => void>();
  const server = createServer((raw, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of raw as AsyncIterable<Buffer>) chunks.push(chunk);
      const request: Received = {
        method: raw.method ?? '',
        path: raw.url ?? '',
        headers: raw.headers,
        body: Buffer.concat(chunks).toString('utf8'),
        at: Date.now(),
      };
      received.push(request);
      for (const listener of listeners) listener();
      await answer(request, response, raw);
    })().catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  t?.after(close);

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    close,
    waitFor: async (count, isWanted = () => true, timeoutMs = DEADLINE_MS) => {
      const wanted = () => received.filter(isWanted);
      if (wanted().length >= count) return wanted();
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => {
          listeners.delete(check);
          reject(new Error(`only ${wanted().length} of ${count} requests came`));
        }, timeoutMs);
        const check = () => {
          if (wanted().length < count) return;
          clearTimeout(timer);
          listeners.delete(check);
          resolve();
        };
        listeners.add(check);
      });
      return wanted();
    },
  };
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** A webhook receiver that takes everything, or answers with the statuses given, the last one for good. */
export function webhookReceiver(t: Pick<TestContext, 'after'>, ...statuses: number[]): Promise<TestServer> {
  let next = 0;
  return httpServer(t, (_request, response) => {
    response.writeHead(statuses[Math.min(next++, statuses.length - 1)] ?? 204).end();
  });
}
