import type { HttpBindings } from '@hono/node-server';
import { Hono } from 'hono';
import type { Context } from 'hono';
import { z } from 'zod';
import { readAgentEvents } from '../agent-events.ts';
import type { AppDeps } from '../deps.ts';
import { ApiError } from '../errors.ts';
import { eventView } from '../event-view.ts';
import { executionIdOf } from '../execution-id.ts';
import { directionsView, executionView } from '../execution-view.ts';
import { invalid, numberParameter, queryOf, readJson } from '../json-body.ts';
import type { LogPart } from '../log.ts';
import type { Execution, LogEvent } from '../schemas.ts';
import { sseEvent, sseOf, streamOf } from '../sse.ts';
import { TooManyWatchers } from '../watchers.ts';

/** A comment goes out when nothing else did, so that proxies and clients know the stream to be alive. */
const HEARTBEAT_MS = 10_000;
const RECONNECT_MS = 1_000;
const STREAMS_RETRY_AFTER_S = 5;
/** A page ends early past it. */
const MAX_PAGE_BYTES = 1024 * 1024;
const ENTRY_NUMBER = /^\d{1,9}$/;

export const eventsQuery = z.strictObject({
  after: z.string().regex(ENTRY_NUMBER, 'must be the number of a log entry').transform(Number).optional(),
  kinds: z
    .string()
    .max(1000)
    .transform((list) => list.split(',').filter((kind) => kind !== ''))
    .optional(),
  /** Every event without a type of its own: a browser hears of a type only if it knows its name. */
  type: z.literal('message').optional(),
  limit: numberParameter(1, 1000).default(100),
});

type Filter = (event: LogEvent) => boolean;

/** The log of an execution: as server-sent events, or in pages of JSON. */
export function eventRoutes({ executions, limits, closing }: AppDeps): Hono {
  const app = new Hono();
  let streams = 0;

  app.get('/executions/:id/events', async (c) => {
    const id = executionIdOf(c);
    const { after, kinds, limit, type } = queryOf(c, eventsQuery);
    const isWanted: Filter = ({ kind }) => kinds === undefined || kinds.includes(kind);
    // EventSource connects again to the URL that it was given, whose parameters are old by then.
    const cursor = lastEventIdOf(c) ?? after;
    c.header('Cache-Control', 'no-store');
    c.header('Vary', 'Accept');
    if (wantsPages(c)) return c.json(await readPage(id, cursor ?? 0, limit, isWanted));
    return openStream(c, id, cursor, { isWanted, isTyped: type === undefined });
  });

  app.post('/executions/:id/events', async (c) => {
    const id = executionIdOf(c);
    const reports = readAgentEvents(await readJson(c, { asIs: true }));
    return c.json(directionsView(await executions.report(id, reports)));
  });

  async function readPage(id: string, after: number, limit: number, isWanted: Filter) {
    await executions.get(id);
    const page = { events: [] as LogEvent[], next_after: after, has_more: true, is_complete: false };
    let bytes = 0;
    const isFull = () => page.events.length >= limit || bytes > MAX_PAGE_BYTES;
    for await (const { records, isCaughtUp, isComplete } of executions.readLog(id, after)) {
      for (const record of records) {
        if (isFull()) return page;
        page.next_after = record.sequence;
        const event = eventView(record);
        if (!isWanted(event)) continue;
        page.events.push(event);
        bytes += JSON.stringify(event).length;
      }
      if (isCaughtUp) return { ...page, has_more: false, is_complete: isComplete };
    }
    return page;
  }

  async function openStream(c: Context, id: string, cursor: number | undefined, format: Format): Promise<Response> {
    if (streams >= limits.maxStreams) throw tooManyStreams();
    const state = await executions.get(id);
    // Its body would never be read.
    if (c.req.raw.method === 'HEAD') return c.body(null, 200, { 'Content-Type': 'text/event-stream' });
    const over = firstOf(c.req.raw.signal, closing);
    const log = executions.followLog(id, cursor ?? state.sequence, { idleMs: HEARTBEAT_MS, signal: over.signal });
    // What can be refused is refused before the head is out.
    const { value: first } = await log.next().catch((err: unknown) => {
      over.abort();
      throw err instanceof TooManyWatchers ? tooManyStreams() : err;
    });
    if (cursor !== undefined && (!first || (first.isComplete && first.records.length === 0))) {
      over.abort();
      await log.return(undefined);
      // The one answer after which an EventSource does not connect again.
      return c.body(null, 204);
    }
    const snapshot =
      cursor === undefined
        ? executionView(state, { details: await executions.detailsOf(state), estimate: executions.estimateOf(state) })
        : undefined;
    streams += 1;
    const body = streamOf(partsOf(snapshot, first, log, format), {
      onStalled: () => (c.env as HttpBindings).outgoing.destroy(),
      onEnd: () => {
        streams -= 1;
        over.abort();
        void log.return(undefined);
      },
    });
    c.header('Content-Type', 'text/event-stream');
    c.header('X-Accel-Buffering', 'no');
    return c.body(body);
  }

  return app;
}

/** What a client wants of a stream. */
interface Format {
  isWanted: Filter;
  isTyped: boolean;
}

async function* partsOf(
  snapshot: Execution | undefined,
  first: LogPart | undefined,
  more: AsyncGenerator<LogPart>,
  format: Format,
): AsyncGenerator<string> {
  yield `retry: ${RECONNECT_MS}\n\n`;
  if (snapshot) yield typed(sseEvent('snapshot', snapshot, snapshot.sequence), format);
  if (first) yield textOf(first, format);
  for await (const part of more) yield textOf(part, format);
}

function textOf({ records, isComplete }: LogPart, format: Format): string {
  const events = records.map((record) => sseOf(record)).filter(({ event }) => format.isWanted(event));
  const text = events.map((event) => typed(event.text, format)).join('') + (isComplete ? typed(END, format) : '');
  return text === '' ? HEARTBEAT : text;
}

function typed(text: string, { isTyped }: Format): string {
  return isTyped ? text : text.replace(/^event: .*\n/m, '');
}

const HEARTBEAT = ': still here\n\n';
const END = sseEvent('end', { kind: 'end' });

/** An EventSource sends it when it connects again. */
function lastEventIdOf(c: Context): number | undefined {
  const id = c.req.header('Last-Event-ID');
  if (id === undefined || id === '') return undefined;
  if (!ENTRY_NUMBER.test(id)) throw invalid([{ path: 'Last-Event-ID', message: 'must be the number of a log entry' }]);
  return Number(id);
}

function wantsPages(c: Context): boolean {
  const accept = c.req.header('Accept')?.toLowerCase() ?? '';
  return accept.includes('application/json') && !accept.includes('text/event-stream');
}

/** Aborts with the first of them. To be aborted in any case: its listeners go with it. */
function firstOf(...signals: AbortSignal[]): AbortController {
  const first = new AbortController();
  const abort = () => first.abort();
  for (const signal of signals) {
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true, signal: first.signal });
  }
  return first;
}

function tooManyStreams(): ApiError {
  return new ApiError('too_many_streams', 'this process serves as many event streams as it may', {
    retryAfterS: STREAMS_RETRY_AFTER_S,
  });
}
