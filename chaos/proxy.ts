import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LinkMode } from './faults.ts';

/** A TCP proxy on a free loopback port that can be told to misbehave. */
export interface Proxy {
  port: number;
  /**
   * `cut`: connections are reset and new ones refused; `delay`: every chunk is late; `blackhole`: nothing gets
   * through and nobody is told, what was sent arrives when it is over; undefined: all is well.
   */
  misbehave: (mode: LinkMode | undefined) => Promise<void>;
  /** Bytes that went through, both ways. */
  bytes: () => number;
  close: () => Promise<void>;
}

const DELAY_MS = 300;
const RELISTEN_TRIES = 50;

/** @param target gives the port that a new connection goes to */
export async function createProxy(target: () => number): Promise<Proxy> {
  let mode: LinkMode | undefined;
  let bytes = 0;
  let opened = Promise.resolve();
  let open: () => void = () => undefined;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(target(), '127.0.0.1');
    join(near, far);
  });
  await listen(server, 0);
  const { port } = server.address() as AddressInfo;

  function join(near: Socket, far: Socket): void {
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => other.destroy());
      socket.once('close', () => sockets.delete(socket));
      void pump(socket, other);
    }
  }

  /** Whatever ends one side ends the other, once all that was on its way has got there. */
  async function pump(from: Socket, to: Socket): Promise<void> {
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (mode === 'delay') await sleep(DELAY_MS);
        await opened;
        if (to.destroyed) return;
        if (!to.write(chunk)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
      }
      await opened;
      to.end();
    } catch {
      to.destroy();
    }
  }

  return {
    port,
    bytes: () => bytes,
    misbehave: async (next) => {
      const before = mode;
      mode = next;
      open();
      opened = next === 'blackhole' ? new Promise((resolve) => (open = resolve)) : Promise.resolve();
      if (next === 'cut') {
        server.close();
        for (const socket of sockets) socket.resetAndDestroy();
      } else if (before === 'cut') await listenAgain(server, port);
    },
    close: async () => {
      open();
      for (const socket of sockets) socket.destroy();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
}

/** Somebody else's connection may have got our port for a moment. */
async function listenAgain(server: Server, port: number): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await listen(server, port);
    } catch (err) {
      if (tries >= RELISTEN_TRIES) throw err;
      await sleep(100);
    }
  }
}
