import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { WebSocketServer } from 'ws';
import type { RawData, WebSocket } from 'ws';
import type { AppDeps } from './deps.ts';
import { ApiError, problemBody, toApiError } from './errors.ts';
import { eventView } from './event-view.ts';
import { trackedView, viewNow } from './execution-view.ts';
import { isExecutionId } from './ids.ts';
import { check, invalid, parseJson } from './json-body.ts';
import { ENTRY_NUMBER } from './log-request.ts';
import { toMessage, withPatches } from './routes/steering.ts';
import { steerMessage } from './steering-schemas.ts';
import { refuseSocket } from './server.ts';
import type { UpgradeHandler } from './server.ts';
import { notFound } from './signalling.ts';
import { TooManyWatchers } from './watchers.ts';
import { tooManyStreams } from './stream-slots.ts';

/** A peer that answers no ping within one more of these is gone. */
const PING_MS = 10_000;
/** How long a peer may take to answer a close. */
const CLOSE_MS = 2_000;
const MAX_FRAME_BYTES = 64 * 1024;
/** Frames of a client that wait for their turn: who sends faster than Temporal takes them is cut. */
const MAX_WAITING_FRAMES = 50;

/** Close codes of RFC 6455, 7.4.1. */
const CLOSE = { normal: 1000, goingAway: 1001, unsupported: 1003, policy: 1008, error: 1011 } as const;

/** Only the path of a URL counts. */
const ANY_BASE = 'http://localhost';
const STEER_PATH = /^\/api\/v1\/executions\/([^/]+)\/steer$/;

/**
 * `GET /api/v1/executions/{id}/steer` as a WebSocket: the live log goes out, what a person says comes in, so that one
 * connection is enough to work together. Each frame is one JSON text: entries of the log as in the event stream, a
 * `receipt` or an `error` for each message.
 */
export function createSteerSocket(deps: AppDeps): UpgradeHandler {
  const { executions, streamSlots, closing, limits } = deps;
  const server = new WebSocketServer({ noServer: true, maxPayload: MAX_FRAME_BYTES, perMessageDeflate: false });

  /** What can be refused is refused before the handshake, as any other request. */
  async function admit(request: IncomingMessage): Promise<Admitted> {
    const url = URL.canParse(request.url ?? '', ANY_BASE) ? new URL(request.url ?? '', ANY_BASE) : undefined;
    const id = STEER_PATH.exec(url?.pathname ?? '')?.[1];
    if (!url || id === undefined) throw new ApiError('route_not_found', 'there is no WebSocket here');
    if (!isExecutionId(id)) throw notFound();
    refuseOtherOrigin(request);
    const after = url.searchParams.get('after');
    if (after !== null && !ENTRY_NUMBER.test(after))
      throw invalid([{ path: 'after', message: 'must be the number of a log entry' }]);
    await executions.get(id);
    return { id, after: after === null ? undefined : Number(after), release: streamSlots.take() };
  }

  function serve(socket: WebSocket, { id, after }: Admitted): void {
    const over = new AbortController();
    const goAway = () => {
      socket.close(CLOSE.goingAway, 'this process is about to stop');
      // A peer that is gone would keep the server from closing.
      setTimeout(() => socket.terminate(), CLOSE_MS).unref();
    };
    closing.addEventListener('abort', goAway, { once: true, signal: over.signal });
    let isAlive = true;
    const ping = setInterval(() => {
      if (!isAlive) return socket.terminate();
      isAlive = false;
      socket.ping();
    }, PING_MS);
    socket.on('pong', () => (isAlive = true));
    socket.on('error', () => socket.terminate());
    socket.on('close', () => {
      clearInterval(ping);
      over.abort();
    });
    receive(socket, id);
    follow(socket, id, after, over.signal).catch((err: unknown) => {
      if (over.signal.aborted) return;
      const refusal = err instanceof TooManyWatchers ? tooManyStreams() : toApiError(err);
      const close = () => socket.close(CLOSE.error, refusal.code);
      send(socket, { kind: 'error', ...problemOf(refusal) }).then(close, close);
    });
    if (closing.aborted) goAway();
  }

  async function follow(socket: WebSocket, id: string, after: number | undefined, signal: AbortSignal): Promise<void> {
    const state = await executions.get(id);
    if (after === undefined) {
      const data = await viewNow(executions, state);
      await send(socket, { kind: 'snapshot', sequence: state.sequence, data });
    }
    const log = executions.followLog(id, after ?? state.sequence, { idleMs: PING_MS, signal });
    for await (const { records, isComplete } of log) {
      for (const record of records) await send(socket, eventView(record));
      if (!isComplete) continue;
      await send(socket, { kind: 'end' });
      socket.close(CLOSE.normal, 'the log is complete');
    }
  }

  function receive(socket: WebSocket, id: string): void {
    let waiting = 0;
    let last: Promise<void> = Promise.resolve();
    socket.on('message', (data: RawData, isBinary: boolean) => {
      if (isBinary) return socket.close(CLOSE.unsupported, 'frames are JSON text');
      if (waiting >= MAX_WAITING_FRAMES) return socket.close(CLOSE.policy, 'too many messages at once');
      waiting += 1;
      last = last.then(async () => {
        await send(socket, await answerTo(id, (data as Buffer).toString('utf8'))).catch(() => undefined);
        waiting -= 1;
      });
    });
  }

  async function answerTo(executionId: string, text: string): Promise<object> {
    let id: string | undefined;
    try {
      const message = toMessage(check(steerMessage, parseJson(text), { root: '$', noun: 'field' }));
      ({ id } = message);
      const taken = await withPatches(executions, executionId, message.ifRev, () =>
        executions.steer(executionId, message),
      );
      return { kind: 'receipt', ...trackedView(executionId, taken) };
    } catch (err) {
      return { kind: 'error', ...(id !== undefined && { id }), ...problemOf(toApiError(err)) };
    }
  }

  /** Resolves when it is on its way. Who takes nothing for too long is cut: what is sent waits in memory. */
  function send(socket: WebSocket, frame: object): Promise<void> {
    return new Promise((resolve, reject) => {
      const stalled = setTimeout(() => socket.terminate(), limits.stallMs);
      socket.send(JSON.stringify(frame), (err) => {
        clearTimeout(stalled);
        if (err) reject(err);
        else resolve();
      });
    });
  }

  return (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    admit(request).then(
      (admitted) => {
        if (socket.destroyed) return admitted.release();
        socket.once('close', admitted.release);
        server.handleUpgrade(request, socket, head, (accepted) => serve(accepted, admitted));
      },
      (err: unknown) => refuseSocket(socket, toApiError(err)),
    );
  };
}

interface Admitted {
  id: string;
  after: number | undefined;
  release: () => void;
}

/** A page of somebody else's must not speak for who looks at it. */
function refuseOtherOrigin({ headers: { origin, host } }: IncomingMessage): void {
  if (origin === undefined) return;
  if (!URL.canParse(origin) || new URL(origin).host !== host)
    throw new ApiError('origin_not_allowed', 'a WebSocket is only opened for pages of this server');
}

/** A refusal as a frame. */
function problemOf(refusal: ApiError): object {
  return problemBody(refusal, randomUUID());
}
