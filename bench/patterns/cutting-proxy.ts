import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Trace } from './trace.ts';

export interface CuttingProxy {
  url: string;
  cuts: { broken: number; idle: number };
  close: () => void;
}

/** The network between client and service: breaks connections when the trace says so, and idle ones. */
export async function startCuttingProxy(targetPort: number, trace: Trace): Promise<CuttingProxy> {
  const cuts = { broken: 0, idle: 0 };
  const open = new Set<Socket>();
  let connections = 0;

  const server = createServer((client) => {
    const service = connect(targetPort, '127.0.0.1');
    const sockets = [client, service];
    const end = () => {
      for (const socket of sockets) {
        socket.destroy();
        open.delete(socket);
      }
    };
    const cut = (kind: keyof typeof cuts) => () => {
      cuts[kind]++;
      end();
    };
    const breaks = setTimer(trace.cutAfterMs(connections++), cut('broken'));
    const idle = setTimer(trace.idleLimitMs, cut('idle'));
    client.once('close', () => {
      clearTimeout(breaks);
      clearTimeout(idle);
    });
    for (const socket of sockets) {
      open.add(socket);
      socket.setNoDelay(true);
      socket.on('data', () => idle?.refresh());
      socket.once('close', end);
      // Whatever it is, 'close' follows.
      socket.on('error', () => {});
    }
    client.pipe(service);
    service.pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cuts,
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

const MAX_TIMER_MS = 2 ** 31 - 1;

function setTimer(ms: number, act: () => void): NodeJS.Timeout | undefined {
  return ms > MAX_TIMER_MS ? undefined : setTimeout(act, ms);
}
