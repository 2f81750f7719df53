import { Hono } from 'hono';
import type { Context } from 'hono';
import type { Json } from '../../workflows/execution.ts';
import type { KeptStep } from '../../workflows/steps.ts';
import type { AppDeps } from '../deps.ts';
import { ApiError } from '../errors.ts';
import { executionIdOf } from '../execution-id.ts';
import { invalid, jsonBody } from '../json-body.ts';
import { storeStepRequest } from '../steering-schemas.ts';
import { findStep } from '../steps.ts';

const KEY = /^[\x21-\x7e]{1,200}$/;

/** Memoised steps for agents that have no workflow engine. */
export function stepRoutes({ executions }: AppDeps): Hono {
  const app = new Hono();

  app.put('/executions/:id/steps/:key', async (c) => {
    const id = executionIdOf(c);
    const key = keyOf(c);
    const { value } = await jsonBody(c, storeStepRequest);
    const { step, isNew } = await executions.storeStep(id, { key, value: value as Json });
    return c.json(stepView(id, step), isNew ? 201 : 200);
  });

  app.get('/executions/:id/steps/:key', async (c) => {
    const id = executionIdOf(c);
    const key = keyOf(c);
    const step = findStep(await executions.get(id), key);
    if (!step) throw new ApiError('step_not_found', 'no step is stored under this key', { executionId: id });
    c.header('Cache-Control', 'no-store');
    return c.json(stepView(id, step));
  });

  app.get('/executions/:id/steps', async (c) => {
    const id = executionIdOf(c);
    const { steps = [] } = await executions.get(id);
    c.header('Cache-Control', 'no-store');
    return c.json({ steps: steps.map((step) => stepView(id, step)) });
  });

  return app;
}

function keyOf(c: Context): string {
  const key = c.req.param('key') ?? '';
  if (!KEY.test(key)) throw invalid([{ path: 'key', message: 'must be 1 to 200 visible ASCII characters' }]);
  return key;
}

function stepView(executionId: string, { key, value, sequence }: KeptStep) {
  return { execution_id: executionId, key, value, sequence };
}
