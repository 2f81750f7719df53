import { Hono } from 'hono';
import { requestId } from 'hono/request-id';
import type { AppDeps } from './deps.ts';
import { ApiError, errorHandler, problem } from './errors.ts';
import { MAX_BODY_BYTES } from './json-body.ts';
import { openApiDocument } from './openapi.ts';
import { requestLog } from './request-log.ts';
import { agentFieldRoutes, olderNoteRoute } from './routes/agentfield.ts';
import { discoveryRoutes } from './routes/discovery.ts';
import { batchRoutes } from './routes/batches.ts';
import { eventRoutes } from './routes/events.ts';
import { executeRoutes } from './routes/execute.ts';
import { executionRoutes } from './routes/executions.ts';
import { healthRoutes } from './routes/health.ts';
import { memoryRoutes } from './routes/memory.ts';
import { nodeRoutes } from './routes/nodes.ts';
import { restartRoutes } from './routes/restart.ts';
import { runCancelRoutes } from './routes/run-cancel.ts';
import { runTreeRoutes } from './routes/run-tree.ts';
import { runRoutes } from './routes/runs.ts';
import { steeringRoutes } from './routes/steering.ts';
import { stepRoutes } from './routes/steps.ts';
import { uiRoutes } from './routes/ui.ts';

/** The whole HTTP surface, without a port: tests and `main.ts` bind it. */
export function createApp(deps: AppDeps): Hono {
  const app = new Hono();
  const document = openApiDocument();

  app.use(requestId({ headerName: 'X-Request-ID', limitLength: 128 }));
  app.use(requestLog(deps.logger));
  app.use(async (c, next) => {
    c.set(MAX_BODY_BYTES as never, deps.limits.maxBodyBytes as never);
    await next();
  });

  app.route('/', healthRoutes(deps));
  app.route('/', uiRoutes(deps));
  app.get('/openapi.json', (c) => c.json(document));
  app.route('/api/v1', executeRoutes(deps));
  // Before what takes any id: a note is no execution.
  app.route('/api/v1', agentFieldRoutes(deps));
  app.route('/api/ui/v1', olderNoteRoute(deps));
  app.route('/api/v1', batchRoutes(deps));
  app.route('/api/v1', executionRoutes(deps));
  app.route('/api/v1', eventRoutes(deps));
  app.route('/api/v1', restartRoutes(deps));
  app.route('/api/v1', runTreeRoutes(deps));
  app.route('/api/v1', runCancelRoutes(deps));
  app.route('/api/v1', runRoutes(deps));
  app.route('/api/v1', nodeRoutes(deps));
  app.route('/api/v1', discoveryRoutes(deps));
  app.route('/api/v1', memoryRoutes(deps));
  app.route('/api/v1', steeringRoutes(deps));
  app.route('/api/v1', stepRoutes(deps));

  app.notFound((c) => {
    const allowed = methodsOf(app, c.req.path);
    if (allowed.length === 0) return problem(c, new ApiError('route_not_found', 'endpoint not found'));
    c.header('Allow', allowed.join(', '));
    return problem(c, new ApiError('method_not_allowed', `${c.req.method} is not allowed here`));
  });
  app.onError(errorHandler(deps.logger));
  return app;
}

/** The methods of a path that exists, for a request that came with another one. */
function methodsOf(app: Hono, path: string): string[] {
  const routes = app.routes.filter((route) => route.method !== 'ALL' && patternOf(route.path).test(path));
  const literal = routes.filter((route) => route.path === path);
  return [...new Set((literal.length > 0 ? literal : routes).map((route) => route.method))];
}

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll('.', '\\.').replace(/:[^/]+/g, '[^/]+')}$`);
}
