import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import type { AppDeps } from './deps.ts';
import { RETRY, streamOf } from './sse.ts';
import { tooManyStreams } from './stream-slots.ts';
import { TooManyWatchers } from './watchers.ts';

/** A comment goes out when nothing else did, so that proxies and clients know the stream to be alive. */
export const HEARTBEAT_MS = 10_000;

/** Where a stream comes from, part by part. */
export interface StreamSource<Part> {
  /** From the part on that is there already, until the signal aborts. */
  follow: (signal: AbortSignal) => AsyncGenerator<Part, void, undefined>;
  /** Whether a client that has come this far needs no stream: nothing will follow. */
  isOver: (first: Part) => boolean;
  textsOf: (first: Part, more: AsyncGenerator<Part, void, undefined>) => AsyncGenerator<string>;
}

/** Answers with a stream of events, or throws what refuses it: what can be refused is, before the head is out. */
export async function openStream<Part>(
  c: Context,
  { streamSlots, closing, limits }: Pick<AppDeps, 'streamSlots' | 'closing' | 'limits'>,
  { follow, isOver, textsOf }: StreamSource<Part>,
): Promise<Response> {
  // Its body would never be read.
  if (c.req.raw.method === 'HEAD') return c.body(null, 200, { 'Content-Type': 'text/event-stream' });
  const release = streamSlots.take();
  const over = firstOf(c.req.raw.signal, closing);
  const parts = follow(over.signal);
  const end = () => {
    release();
    over.abort();
    void parts.return(undefined);
  };
  try {
    const { done, value: first } = await parts.next();
    if (done) {
      end();
      return goOnElsewhere(c);
    }
    if (isOver(first)) {
      end();
      // The one answer after which an EventSource does not connect again.
      return c.body(null, 204);
    }
    const body = streamOf(beginning(textsOf(first, parts)), {
      stallMs: limits.stallMs,
      onStalled: () => (c.env as HttpBindings).outgoing.destroy(),
      onEnd: end,
    });
    c.header('Content-Type', 'text/event-stream');
    c.header('X-Accel-Buffering', 'no');
    return c.body(body);
  } catch (err) {
    const isStopping = over.signal.aborted;
    end();
    if (isStopping) return goOnElsewhere(c);
    throw err instanceof TooManyWatchers ? tooManyStreams() : err;
  }
}

/** This process is about to stop. A refusal would end an EventSource for good; this makes it connect again. */
function goOnElsewhere(c: Context): Response {
  return c.body(RETRY, 200, { 'Content-Type': 'text/event-stream' });
}

async function* beginning(texts: AsyncGenerator<string>): AsyncGenerator<string> {
  yield RETRY;
  yield* texts;
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
