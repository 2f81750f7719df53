import { setTimeout as sleep } from 'node:timers/promises';
import { Hono } from 'hono';
import type { Context } from 'hono';
import { z } from 'zod';
import type { AppDeps } from '../deps.ts';
import { ApiError } from '../errors.ts';
import { HEARTBEAT_MS, openStream } from '../event-stream.ts';
import { eventView } from '../event-view.ts';
import { RUN_ID } from '../ids.ts';
import { invalid, queryOf } from '../json-body.ts';
import { createPage, lastEventIdOf, logFormat, logParameters, wantsPages } from '../log-request.ts';
import type { LogFormat } from '../log-request.ts';
import { createRunPosition, MAX_CURSOR_CHARS, parseRunCursor, sentOf } from '../run-cursor.ts';
import type { RunCursor, RunPosition } from '../run-cursor.ts';
import { followRun } from '../run-log.ts';
import type { RunPart } from '../run-log.ts';
import { createRunLooks, isSettled, lookAtRun, MAX_RUN_EXECUTIONS } from '../run-members.ts';
import type { RunLook } from '../run-members.ts';
import { createRunSources } from '../run-sources.ts';
import { runNotFound } from '../runs.ts';
import type { OpenLog, RunEntry } from '../run-sources.ts';
import type { RunLogEvent } from '../schemas.ts';
import { END, HEARTBEAT, sseEvent, typed } from '../sse.ts';

/** Text is passed on in pieces of about so many characters. */
const PIECE_CHARS = 64 * 1024;

export const runEventsQuery = z.strictObject({
  after: z.string().max(MAX_CURSOR_CHARS).optional(),
  ...logParameters,
});

/** Where a client begins to read a run. */
interface Place {
  look: RunLook;
  /** Number of the last entry that it has of each execution. */
  sent: ReadonlyMap<string, number>;
}

/** The log of a whole run: those of its executions, each entry with the id of its own. */
export function runRoutes(deps: AppDeps): Hono {
  const { client, executions, limits } = deps;
  const app = new Hono();
  const lookAgain = createRunLooks((runId) => lookAtRun(client, runId), limits.runLookMs / 2);

  app.get('/runs/:run_id/events', async (c) => {
    const runId = c.req.param('run_id');
    if (!RUN_ID.test(runId)) throw runNotFound();
    const { after, limit, ...wanted } = queryOf(c, runEventsQuery);
    const given = cursorOf(c, after);
    const place = await find(runId, given);
    const format = logFormat(wanted);
    c.header('Cache-Control', 'no-store');
    c.header('Vary', 'Accept');
    if (wantsPages(c)) return c.json(await readPage(place, limit, format));
    return stream(c, runId, place, given.isGiven, format);
  });

  async function find(runId: string, { cursor, path }: GivenCursor): Promise<Place> {
    const lookFor = async () => {
      const look = await lookAtRun(client, runId);
      if (look.executionIds.length > MAX_RUN_EXECUTIONS) throw tooManyExecutions();
      return { look, sent: sentOf(cursor, look.executionIds) };
    };
    let { look, sent } = await lookFor();
    if (look.executionIds.length === 0 || !sent) {
      // What was started a moment ago may not be visible yet, to us or to any but the process that made the cursor.
      await sleep(limits.runLookMs);
      ({ look, sent } = await lookFor());
    }
    if (look.executionIds.length === 0) throw runNotFound();
    if (!sent) throw invalid([{ path, message: 'names an execution that is not in this run' }]);
    return { look, sent };
  }

  async function readPage({ look, sent }: Place, limit: number, { isWanted }: LogFormat) {
    const position = createRunPosition(sent);
    const { events, isFull, add } = createPage<RunLogEvent>(limit);
    const page = () => ({ events, next_after: position.cursor() });
    const sources = createRunSources(executions.readLog, sent);
    sources.join(look.executionIds);
    try {
      for await (const entries of sources.catchUp())
        for (const entry of entries) {
          if (isFull()) return { ...page(), has_more: true, is_complete: false };
          position.advance(entry.executionId, entry.record.sequence);
          const event = runEventOf(entry);
          if (isWanted(event)) add(event);
        }
      const isComplete = sources.isComplete() && isSettled(look, limits.runLookMs);
      return { ...page(), has_more: false, is_complete: isComplete };
    } finally {
      sources.close();
    }
  }

  function stream(
    c: Context,
    runId: string,
    { look, sent }: Place,
    isResumed: boolean,
    format: LogFormat,
  ): Promise<Response> {
    const position = createRunPosition(sent);
    return openStream<RunPart>(c, deps, {
      follow: (signal) => {
        const open: OpenLog = (id, after) => executions.followLog(id, after, { idleMs: HEARTBEAT_MS, signal });
        const sources = createRunSources(open, sent);
        sources.join(look.executionIds);
        const times = { lookMs: limits.runLookMs, idleMs: HEARTBEAT_MS };
        return followRun({ sources, look, lookAgain: () => lookAgain(runId), ...times, signal });
      },
      isOver: ({ isComplete }) => isResumed && isComplete,
      textsOf: async function* (first, more) {
        yield* piecesOf(first, position, format);
        for await (const part of more) yield* piecesOf(part, position, format);
      },
    });
  }

  return app;
}

function* piecesOf({ entries, isComplete }: RunPart, position: RunPosition, format: LogFormat): Generator<string> {
  let text = '';
  for (const entry of entries) {
    position.advance(entry.executionId, entry.record.sequence);
    const event = runEventOf(entry);
    if (!format.isWanted(event)) continue;
    text += typed(sseEvent(event.kind, event, position.cursor()), format);
    if (text.length < PIECE_CHARS) continue;
    yield text;
    text = '';
  }
  if (isComplete) text += typed(END, format);
  yield text === '' ? HEARTBEAT : text;
}

function runEventOf({ executionId, record }: RunEntry): RunLogEvent {
  return { execution_id: executionId, ...eventView(record) };
}

/** What a client gave to go on from, and where in its request. */
interface GivenCursor {
  cursor: RunCursor;
  path: string;
  isGiven: boolean;
}

function cursorOf(c: Context, after: string | undefined): GivenCursor {
  const lastEventId = lastEventIdOf(c);
  const path = lastEventId === undefined ? 'after' : 'Last-Event-ID';
  const text = lastEventId ?? after;
  const cursor = text === undefined ? [] : parseRunCursor(text);
  if (!cursor) throw invalid([{ path, message: 'was not made by this API' }]);
  return { cursor, path, isGiven: text !== undefined };
}

function tooManyExecutions(): ApiError {
  return new ApiError(
    'too_many_executions',
    `a run of more than ${MAX_RUN_EXECUTIONS} executions is not followed as a whole: ` +
      'GET /api/v1/executions?run_id= lists them, and each has its own /events',
  );
}
