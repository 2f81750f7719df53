import type { HttpBindings } from '@hono/node-server';
import type { MiddlewareHandler } from 'hono';
import type { Logger } from '../common/logger.ts';

/**
 * One line per request, once its answer is sent or its client gone: what was asked and how it went. No bodies, no
 * header values, no query. Reads that went well are the bulk of the traffic and say little: they are for debugging.
 */
export function requestLog(logger: Logger): MiddlewareHandler<{ Bindings: HttpBindings }> {
  return async (c, next) => {
    const startedAt = performance.now();
    await next();
    const { status } = c.res;
    const level = c.req.method === 'GET' && status < 400 ? 'debug' : 'info';
    if (!logger.isLevelEnabled(level)) return;
    const executionId = c.res.headers.get('X-Execution-ID') ?? undefined;
    const { outgoing } = c.env;
    const log = () =>
      logger[level](
        {
          request_id: c.get('requestId') as string,
          method: c.req.method,
          path: c.req.path.slice(0, 300),
          status,
          duration_ms: Math.round(performance.now() - startedAt),
          execution_id: executionId,
          ...(!outgoing.writableFinished && { client_gone: true }),
        },
        'request',
      );
    if (outgoing.destroyed) log();
    else outgoing.once('close', log);
  };
}
