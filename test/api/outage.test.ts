import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { acceptingAgent } from '../support/agents.ts';
import { startSystem } from '../support/system.ts';
import { startTemporal } from '../support/temporal.ts';

test('Temporal down is 503 with Retry-After on every route, and the API recovers by itself', async (t) => {
  const temporal = await startTemporal();
  t.after(() => temporal.stop());
  const agent = await acceptingAgent(t);
  const system = await startSystem(t, { address: temporal.address, agentNodes: { a: agent.url } });
  const { body } = await system.post('/api/v1/execute/async/a.x', {});
  const id = body.execution_id as string;
  await agent.callbackUrl(id);
  // From here on nothing changes by itself: the long poll waits for what comes after the outage.
  await system.running(id);
  const waiting = system.get(`/api/v1/executions/${id}?wait=60`);
  assert.equal((await system.get('/ready')).status, 200);

  await temporal.kill();
  const refusals = await Promise.all([
    system.post('/api/v1/execute/async/a.x', {}),
    system.post('/api/v1/execute/a.x', {}),
    system.get(`/api/v1/executions/${id}`),
    system.get('/api/v1/executions'),
    system.post('/api/v1/executions/batch-status', { execution_ids: [id] }),
    system.post(`/api/v1/executions/${id}/status`, { status: 'succeeded', result: 1 }),
    system.post(`/api/v1/executions/${id}/cancel`),
    system.post(`/api/v1/executions/${id}/webhook/redeliver`),
  ]);
  for (const { status, headers, body: problem } of refusals) {
    assert.equal(status, 503, JSON.stringify(problem));
    assert.ok(Number(headers.get('Retry-After')) >= 1);
    assert.equal(problem.code, 'temporal_unavailable');
    assert.equal(headers.get('Content-Type'), 'application/problem+json');
  }
  assert.equal((await system.get('/ready')).status, 503);
  assert.equal((await system.get('/health')).status, 200);
  assert.equal((await system.post('/api/v1/execute/async/a..x', {})).status, 400, 'bad input is refused all the same');

  await temporal.restart();
  let taken = 0;
  for (let i = 0; i < 100 && taken !== 200; i++) {
    taken = (await agent.report(id, { status: 'succeeded', result: 'back' })).status;
    if (taken !== 200) await sleep(100);
  }
  assert.equal(taken, 200);
  assert.equal((await waiting).status, 200, 'a long poll sits an outage out');
  assert.equal((await system.end(id)).result, 'back');
});

test('an API that starts before Temporal serves as soon as Temporal is there', async (t) => {
  const temporal = await startTemporal();
  t.after(() => temporal.stop());
  await temporal.kill();
  const agent = await acceptingAgent(t);
  const system = await startSystem(t, { address: temporal.address, agentNodes: { a: agent.url }, withWorker: false });
  assert.equal((await system.post('/api/v1/execute/async/a.x', {})).status, 503);
  await temporal.restart();
  let status = 503;
  for (let i = 0; i < 100 && status === 503; i++) {
    ({ status } = await system.post('/api/v1/execute/async/a.x', {}));
    if (status === 503) await sleep(100);
  }
  assert.equal(status, 202);
});
