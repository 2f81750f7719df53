import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The webhook receiver. It runs in the benchmark's own process: the clock that times the submit times the arrival. */
export interface Receiver {
  /** A URL nobody else has, and the time (`performance.now()`) at which it was posted to. */
  expect: () => { url: string; arrival: Promise<number> };
  close: () => void;
}

const ARRIVAL_DEADLINE_MS = 30_000;
/** Connections outlive the pauses between two blocks. */
const KEEP_ALIVE_MS = 600_000;

export async function startReceiver(): Promise<Receiver> {
  const waiting = new Map<string, (arrivedAt: number) => void>();
  let made = 0;
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    request.resume().once('end', () => {
      response.writeHead(204).end();
      waiting.get(path)?.(performance.now());
      waiting.delete(path);
    });
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  return {
    expect: () => {
      const path = `/hook/${(made += 1)}`;
      const arrival = new Promise<number>((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(path);
          reject(new Error('no webhook came'));
        }, ARRIVAL_DEADLINE_MS);
        waiting.set(path, (arrivedAt) => {
          clearTimeout(timer);
          resolve(arrivedAt);
        });
      });
      // Whoever has failed before waiting for it does not care any more.
      arrival.catch(() => undefined);
      return { url: `http://127.0.0.1:${port}${path}`, arrival };
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
