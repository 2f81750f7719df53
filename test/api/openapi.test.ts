import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { createApp } from '../../api/app.ts';
import type { AppDeps } from '../../api/deps.ts';
import { execution, syncAnswer, acceptedAnswer, problemDetails } from '../../api/schemas.ts';
import { createLogger } from '../../common/logger.ts';
import { httpServer, sendJson } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

const shared = sharedContext();
let system: System;
let document: Body;
before(async () => {
  const agent = await httpServer(shared, (_request, response) => sendJson(response, 200, { a: [1] }));
  system = await startSystem(shared, { agentNodes: { a: agent.url } });
  ({ body: document } = await system.get('/openapi.json'));
});
after(shared.close);

test('the document is valid OpenAPI 3.1', async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(document) as Record<string, unknown>);
  assert.ok(valid, JSON.stringify(errors));
  assert.equal(validator.version, '3.1');
});

test('every route of the router is in the document, and the other way round', () => {
  const { routes } = createApp({ logger: createLogger('test', 'silent'), limits: {} } as AppDeps);
  const served = routes
    .filter(({ method, path }) => method !== 'ALL' && !path.startsWith('/ui'))
    .map(({ method, path }) => `${method.toLowerCase()} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
  const documented = Object.entries(document.paths as Record<string, object>).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method} ${path}`),
  );
  assert.deepEqual([...new Set(served)].toSorted(), documented.toSorted());
});

test('real answers are what the document says', async () => {
  const sync = await system.post('/api/v1/execute/a.x', {});
  syncAnswer.strict().parse(sync.body);
  const accepted = await system.post('/api/v1/execute/async/a.x', {});
  acceptedAnswer.strict().parse(accepted.body);
  execution.strict().parse(await system.end(accepted.body.execution_id));
  problemDetails.strict().parse((await system.post('/api/v1/execute/async/b.x', {})).body);
});
