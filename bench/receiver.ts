import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The webhook receiver. It runs in the benchmark's own process: the clock that times the submit times the arrival. */
export interface Receiver {
  /** A URL nobody else has, and the time (`performance.now()`) at which it was first posted to. */
  expect: (options?: Expectation) => Expected;
  close: () => void;
}

export interface Expected {
  url: string;
  arrival: Promise<number>;
  /** How often it was posted to so far. */
  count: () => number;
}

export interface Expectation {
  deadlineMs?: number;
  /** So many posts are refused with 500 first. */
  failures?: number;
}

const ARRIVAL_DEADLINE_MS = 30_000;
/** Connections outlive the pauses between two blocks. */
const KEEP_ALIVE_MS = 600_000;

export async function startReceiver(): Promise<Receiver> {
  /** Takes a post, and gives the status it is answered with. */
  const hooks = new Map<string, () => number>();
  let made = 0;
  const server = createServer((request, response) => {
    request.resume().once('end', () => {
      const status = hooks.get(request.url ?? '')?.() ?? 204;
      response.writeHead(status).end();
    });
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  return {
    expect: ({ deadlineMs = ARRIVAL_DEADLINE_MS, failures = 0 } = {}) => {
      const path = `/hook/${(made += 1)}`;
      let count = 0;
      const arrival = new Promise<number>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('no webhook came')), deadlineMs);
        hooks.set(path, () => {
          count += 1;
          if (count <= failures) return 500;
          clearTimeout(timer);
          resolve(performance.now());
          return 204;
        });
      });
      // Whoever has failed before waiting for it does not care any more.
      arrival.catch(() => undefined);
      return { url: `http://127.0.0.1:${port}${path}`, arrival, count: () => count };
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
