import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { RawData } from 'ws';
import type { AppDeps } from './deps.ts';
import { problemBody, toApiError } from './errors.ts';
import type { ApiError } from './errors.ts';
import { eventView } from './event-view.ts';
import { trackedView, viewNow } from './execution-view.ts';
import { isExecutionId } from './ids.ts';
import { check, invalid, parseJson } from './json-body.ts';
import { ENTRY_NUMBER } from './log-request.ts';
import { toMessage, withPatches } from './routes/steering.ts';
import { steerMessage } from './steering-schemas.ts';
import { notFound } from './signalling.ts';
import { TooManyWatchers } from './watchers.ts';
import { tooManyStreams } from './stream-slots.ts';
import { CLOSE, PING_MS, refuseOtherOrigin } from './web-socket.ts';
import type { OpenSocket, ServeSocket, SocketRoute } from './web-socket.ts';

/** Frames of a client that wait for their turn: who sends faster than Temporal takes them is cut. */
const MAX_WAITING_FRAMES = 50;

const STEER_PATH = /^\/api\/v1\/executions\/([^/]+)\/steer$/;

/**
 * `GET /api/v1/executions/{id}/steer` as a WebSocket: the live log goes out, what a person says comes in, so that one
 * connection is enough to work together. Each frame is one JSON text: entries of the log as in the event stream, a
 * `receipt` or an `error` for each message.
 */
export function createSteerSocket({ executions }: AppDeps): SocketRoute {
  async function admit(id: string, url: URL, request: IncomingMessage, over: AbortSignal): Promise<ServeSocket> {
    if (!isExecutionId(id)) throw notFound();
    refuseOtherOrigin(request);
    const after = url.searchParams.get('after');
    if (after !== null && !ENTRY_NUMBER.test(after))
      throw invalid([{ path: 'after', message: 'must be the number of a log entry' }]);
    await executions.get(id);
    return async (open) => {
      receive(open, id);
      await follow(open, id, after === null ? undefined : Number(after), over).catch(async (err: unknown) => {
        if (over.aborted) return;
        const refusal = err instanceof TooManyWatchers ? tooManyStreams() : toApiError(err);
        await open.send({ kind: 'error', ...problemOf(refusal) }).catch(() => undefined);
        throw refusal;
      });
    };
  }

  async function follow(
    { socket, send }: OpenSocket,
    id: string,
    after: number | undefined,
    over: AbortSignal,
  ): Promise<void> {
    const state = await executions.get(id);
    if (after === undefined) {
      const data = await viewNow(executions, state);
      await send({ kind: 'snapshot', sequence: state.sequence, data });
    }
    const log = executions.followLog(id, after ?? state.sequence, { idleMs: PING_MS, signal: over });
    for await (const { records, isComplete } of log) {
      for (const record of records) await send(eventView(record));
      if (!isComplete) continue;
      await send({ kind: 'end' });
      socket.close(CLOSE.normal, 'the log is complete');
    }
  }

  function receive({ socket, send }: OpenSocket, id: string): void {
    let waiting = 0;
    let last: Promise<void> = Promise.resolve();
    socket.on('message', (data: RawData, isBinary: boolean) => {
      if (isBinary) return socket.close(CLOSE.unsupported, 'frames are JSON text');
      if (waiting >= MAX_WAITING_FRAMES) return socket.close(CLOSE.policy, 'too many messages at once');
      waiting += 1;
      last = last.then(async () => {
        await send(await answerTo(id, (data as Buffer).toString('utf8'))).catch(() => undefined);
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

  return (url, request, over) => {
    const id = STEER_PATH.exec(url.pathname)?.[1];
    return id === undefined ? undefined : admit(id, url, request, over);
  };
}

/** A refusal as a frame. */
function problemOf(refusal: ApiError): object {
  return problemBody(refusal, randomUUID());
}
