import type { Context } from 'hono';
import { notFound } from './signalling.ts';
import { isExecutionId } from './ids.ts';

/** The id in the path of a request. Throws `execution_not_found` where it cannot be one. */
export function executionIdOf(c: Context): string {
  const id = c.req.param('id') ?? '';
  if (!isExecutionId(id)) throw notFound();
  return id;
}
