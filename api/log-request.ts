import type { Context } from 'hono';
import { z } from 'zod';
import { numberParameter } from './json-body.ts';
import type { LogEvent } from './schemas.ts';

/** Of an entry, as clients give it. */
export const ENTRY_NUMBER = /^\d{1,9}$/;

/** What every way to read a log can be asked for, beside where to begin. */
export const logParameters = {
  kinds: z
    .string()
    .max(1000)
    .transform((list) => list.split(',').filter((kind) => kind !== ''))
    .transform((kinds) => (kinds.length > 0 ? kinds : undefined))
    .optional(),
  /** Every event without a type of its own: a browser hears of a type only if it knows its name. */
  type: z.literal('message').optional(),
  limit: numberParameter(1, 1000).default(100),
};

/** What a client wants of a log. */
export interface LogFormat {
  isWanted: (event: Pick<LogEvent, 'kind'>) => boolean;
  /** Whether events of a stream carry their kind as their type. */
  isTyped: boolean;
}

export function logFormat({ kinds, type }: { kinds?: string[] | undefined; type?: 'message' | undefined }): LogFormat {
  return { isWanted: ({ kind }) => kinds === undefined || kinds.includes(kind), isTyped: type === undefined };
}

/** An EventSource sends it when it connects again, to the URL that it was given: what that says is old by then. */
export function lastEventIdOf(c: Context): string | undefined {
  const id = c.req.header('Last-Event-ID');
  return id === '' ? undefined : id;
}

/** Pages of JSON instead of a stream. */
export function wantsPages(c: Context): boolean {
  const accept = c.req.header('Accept')?.toLowerCase() ?? '';
  return accept.includes('application/json') && !accept.includes('text/event-stream');
}

/** A page ends early past it. */
const MAX_PAGE_BYTES = 1024 * 1024;

/** The entries of one page, as they are added. */
export interface Page<T> {
  events: T[];
  isFull: () => boolean;
  add: (event: T) => void;
}

export function createPage<T>(limit: number): Page<T> {
  const events: T[] = [];
  let bytes = 0;
  return {
    events,
    isFull: () => events.length >= limit || bytes > MAX_PAGE_BYTES,
    add: (event) => {
      events.push(event);
      bytes += JSON.stringify(event).length;
    },
  };
}
