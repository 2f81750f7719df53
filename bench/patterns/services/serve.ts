import { serve } from '@hono/node-server';
import type { Hono } from 'hono';

/** Serves on the loopback port that the benchmark has chosen, and ends with the benchmark. */
export function listen(app: Hono): void {
  app.get('/health', (c) => c.body(null, 204));
  serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.env.PORT) });
  process.once('disconnect', () => process.exit());
}

export const AGENT_URL = process.env.AGENT_URL ?? '';
/** 1: everything is tried once. */
export const ATTEMPTS = Number(process.env.ATTEMPTS ?? 1);
