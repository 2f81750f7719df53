import { pino } from 'pino';
import type { Logger } from 'pino';

export type { Logger } from 'pino';

/**
 * One JSON line per event on stdout. Nothing that comes from a client, an agent or a receiver is logged as a whole:
 * callers name the fields.
 */
export function createLogger(name: string, level: string): Logger {
  return pino({ name, level, base: { name, pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime });
}
