import { eventView } from './event-view.ts';
import type { LogRecord } from './log.ts';
import type { LogEvent } from './schemas.ts';

const RECONNECT_MS = 1_000;

/** A stream begins with it: how long a client waits before it connects again. */
export const RETRY = `retry: ${RECONNECT_MS}\n\n`;
/** A comment, for when there is nothing to say. */
export const HEARTBEAT = ': still here\n\n';
/** The last event of a stream whose log is complete. */
export const END = sseEvent('end', { kind: 'end' });

/** Server-sent events (WHATWG HTML 9.2). JSON has no line breaks, so one `data:` line holds it. */
export function sseEvent(kind: string, data: unknown, id?: number | string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${kind}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** An event as it was made, or without its type. */
export function typed(text: string, { isTyped }: { isTyped: boolean }): string {
  return isTyped ? text : text.replace(/^event: .*\n/m, '');
}

const made = new WeakMap<LogRecord, { event: LogEvent; text: string }>();

/** An entry and its text, which is made once for all who follow the same log. */
export function sseOf(record: LogRecord): { event: LogEvent; text: string } {
  const known = made.get(record);
  if (known) return known;
  const event = eventView(record);
  const text = sseEvent(event.kind, event, event.sequence);
  const both = { event, text };
  made.set(record, both);
  return both;
}

/**
 * A body that is made as fast as it is read: the next part is asked for when the one before is on its way.
 * @param onStalled called when nothing was taken for so long
 * @param onEnd called once, when there is no more or nobody reads it any more
 */
export function streamOf(
  parts: AsyncGenerator<string>,
  { stallMs, onStalled, onEnd }: { stallMs: number; onStalled: () => void; onEnd: () => void },
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let stalled: NodeJS.Timeout | undefined;
  const end = () => {
    clearTimeout(stalled);
    onEnd();
  };
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        clearTimeout(stalled);
        const { done, value } = await parts.next().catch((err: unknown) => {
          end();
          throw err;
        });
        if (done) {
          end();
          return controller.close();
        }
        controller.enqueue(encoder.encode(value));
        stalled = setTimeout(onStalled, stallMs);
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}
