import { EventEmitter, once } from 'node:events';
import { createParser } from 'eventsource-parser';

export interface SseEvent {
  id: string | undefined;
  event: string | undefined;
  // eslint-disable-next-line typescript/no-explicit-any -- answers are checked field by field
  data: any;
}

export interface SseStream {
  status: number;
  headers: Headers;
  /** All that has come so far, once an event of that kind is among it. Throws when the stream ends without one. */
  until: (kind: string) => Promise<SseEvent[]>;
  /** All that has come when the stream has ended. */
  all: () => Promise<SseEvent[]>;
  comments: () => number;
  close: () => void;
}

/** Follows a stream of events as an EventSource does, but never connects again. */
export async function followEvents(url: string, headers: Record<string, string> = {}): Promise<SseStream> {
  const stop = new AbortController();
  const response = await fetch(url, { headers: { accept: 'text/event-stream', ...headers }, signal: stop.signal });
  const events: SseEvent[] = [];
  const news = new EventEmitter();
  let comments = 0;
  let isOver = false;
  const parser = createParser({
    onEvent: ({ id, event, data }) => void events.push({ id, event, data: JSON.parse(data) }),
    onComment: () => void (comments += 1),
  });
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      parser.feed(decoder.decode(chunk, { stream: true }));
      news.emit('news');
    }
  };
  const ended = read()
    .catch(() => undefined)
    .finally(() => {
      isOver = true;
      news.emit('news');
    });
  return {
    status: response.status,
    headers: response.headers,
    until: async (kind) => {
      while (!events.some(({ event }) => event === kind)) {
        if (isOver) throw new Error(`the stream ended without ${kind}: ${JSON.stringify(events)}`);
        await once(news, 'news');
      }
      return [...events];
    },
    all: async () => {
      await ended;
      return events;
    },
    comments: () => comments,
    close: () => stop.abort(),
  };
}
