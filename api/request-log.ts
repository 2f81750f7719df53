import type { MiddlewareHandler } from 'hono';
import type { Logger } from '../common/logger.ts';

/** One line per request: what was asked and how it went. No bodies, no header values, no query. */
export function requestLog(logger: Logger): MiddlewareHandler {
  return async (c, next) => {
    const startedAt = performance.now();
    await next();
    logger.info(
      {
        request_id: c.get('requestId') as string,
        method: c.req.method,
        path: c.req.path.slice(0, 300),
        status: c.res.status,
        duration_ms: Math.round(performance.now() - startedAt),
        execution_id: c.res.headers.get('X-Execution-ID') ?? undefined,
      },
      'request',
    );
  };
}
