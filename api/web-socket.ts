import type { IncomingMessage } from 'node:http';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import type { AppDeps } from './deps.ts';
import { ApiError, toApiError } from './errors.ts';
import { refuseSocket } from './server.ts';
import type { UpgradeHandler } from './server.ts';

/** A peer that answers no ping within one more of these is gone. */
export const PING_MS = 10_000;
/** How long a peer may take to answer a close. */
const CLOSE_MS = 2_000;
const MAX_FRAME_BYTES = 64 * 1024;

/** Close codes of RFC 6455, 7.4.1. */
export const CLOSE = { normal: 1000, goingAway: 1001, unsupported: 1003, policy: 1008, error: 1011 } as const;

/** Only path and query of a URL count. */
const ANY_BASE = 'http://localhost';

/** A WebSocket that is open; each frame is one JSON text. */
export interface OpenSocket {
  socket: WebSocket;
  /** Resolves when it is on its way. Who takes nothing for too long is cut: what is sent waits in memory. */
  send: (frame: object) => Promise<void>;
}

/** Serves one client; when it throws, the socket is closed. */
export type ServeSocket = (open: OpenSocket) => Promise<void>;

/**
 * One kind of WebSocket: undefined where it is not meant. What can be refused is refused here, before the handshake,
 * as any other request.
 * @param over aborts when the connection is gone, be it before the handshake
 */
export type SocketRoute = (url: URL, request: IncomingMessage, over: AbortSignal) => Promise<ServeSocket> | undefined;

export function createUpgradeHandler(
  { streamSlots, closing, limits }: Pick<AppDeps, 'streamSlots' | 'closing' | 'limits'>,
  routes: SocketRoute[],
): UpgradeHandler {
  const server = new WebSocketServer({ noServer: true, maxPayload: MAX_FRAME_BYTES, perMessageDeflate: false });

  async function admit(request: IncomingMessage, over: AbortSignal) {
    const url = URL.canParse(request.url ?? '', ANY_BASE) ? new URL(request.url ?? '', ANY_BASE) : undefined;
    for (const route of url ? routes : []) {
      const admitted = url && route(url, request, over);
      if (admitted) return { serve: await admitted, release: streamSlots.take() };
    }
    throw new ApiError('route_not_found', 'there is no WebSocket here');
  }

  function open(socket: WebSocket, serve: ServeSocket, over: AbortSignal): void {
    const goAway = () => {
      socket.close(CLOSE.goingAway, 'this process is about to stop');
      // A peer that is gone would keep the server from closing.
      setTimeout(() => socket.terminate(), CLOSE_MS).unref();
    };
    closing.addEventListener('abort', goAway, { once: true, signal: over });
    let isAlive = true;
    const ping = setInterval(() => {
      if (!isAlive) return socket.terminate();
      isAlive = false;
      socket.ping();
    }, PING_MS);
    socket.on('pong', () => (isAlive = true));
    socket.on('error', () => socket.terminate());
    socket.on('close', () => clearInterval(ping));
    const send = (frame: object) =>
      new Promise<void>((resolve, reject) => {
        const stalled = setTimeout(() => socket.terminate(), limits.stallMs);
        socket.send(JSON.stringify(frame), (err) => {
          clearTimeout(stalled);
          if (err) reject(err);
          else resolve();
        });
      });
    serve({ socket, send }).catch((err: unknown) => {
      if (!over.aborted) socket.close(CLOSE.error, toApiError(err).code);
    });
    if (closing.aborted) goAway();
  }

  return (request, socket, head) => {
    const over = new AbortController();
    socket.on('error', () => socket.destroy());
    socket.once('close', () => over.abort());
    admit(request, over.signal).then(
      ({ serve, release }) => {
        if (socket.destroyed) return release();
        socket.once('close', release);
        server.handleUpgrade(request, socket, head, (accepted) => open(accepted, serve, over.signal));
      },
      (err: unknown) => refuseSocket(socket, toApiError(err)),
    );
  };
}

/** A page of somebody else's must not speak for who looks at it. */
export function refuseOtherOrigin({ headers: { origin, host } }: IncomingMessage): void {
  if (origin === undefined) return;
  if (!URL.canParse(origin) || new URL(origin).host !== host)
    throw new ApiError('origin_not_allowed', 'a WebSocket is only opened for pages of this server');
}
