import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { acceptingAgent } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

const shared = sharedContext();
let agent: AcceptingAgent;
let system: System;
before(async () => {
  agent = await acceptingAgent(shared);
  system = await startSystem(shared, { agentNodes: { a: agent.url }, policy: { maxRunEvents: 40 } });
});
after(shared.close);

async function start(): Promise<string> {
  const id = (await system.post('/api/v1/execute/async/a.work', {})).body.execution_id as string;
  await agent.callbackUrl(id);
  return id;
}

const path = (id: string, key = '') => `/api/v1/executions/${id}/steps${key && `/${encodeURIComponent(key)}`}`;

async function put(id: string, key: string, value: unknown): Promise<{ status: number; body: Body }> {
  const response = await fetch(system.url + path(id, key), { method: 'PUT', body: JSON.stringify({ value }) });
  return { status: response.status, body: await response.json() };
}

test('the first value of a step counts, and is had again', async () => {
  const id = await start();
  assert.equal((await system.get(path(id, 'fetch'))).body.code, 'step_not_found');
  assert.equal((await put(id, 'fetch', { n: 1, m: [2] })).status, 201);
  assert.equal((await put(id, 'fetch', { m: [2], n: 1 })).status, 200);
  const other = await put(id, 'fetch', { n: 2 });
  assert.equal(other.status, 409);
  assert.equal(other.body.code, 'step_differs');
  assert.deepEqual(other.body.value, { n: 1, m: [2] });
  assert.deepEqual((await system.get(path(id, 'fetch'))).body.value, { n: 1, m: [2] });
  await agent.report(id, { status: 'succeeded' });
  await system.end(id);
  assert.equal((await put(id, 'late', 1)).body.code, 'execution_finished');
  assert.deepEqual(
    (await system.get(path(id))).body.steps.map(({ key }: Body) => key),
    ['fetch'],
  );
});

test('of racing values one is stored, and all are told which', async () => {
  const id = await start();
  const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => put(id, 'race', i)));
  const stored = (await system.get(path(id, 'race'))).body.value;
  for (const [i, { status, body }] of answers.entries()) {
    assert.equal(status === 409, i !== stored, JSON.stringify(body));
    assert.equal(body.value, stored);
  }
  await agent.report(id, { status: 'succeeded' });
});

test('steps outlive the worker and the run of the workflow they were stored in', async () => {
  const id = await start();
  for (let i = 0; i < 15; i++) assert.equal((await put(id, `step ${i}`.replace(' ', '-'), i)).status, 201);
  await system.stopWorker();
  await system.startWorker();
  assert.equal((await put(id, 'step-3', 4)).status, 409);
  assert.deepEqual(
    (await system.get(path(id))).body.steps.map(({ value }: Body) => value),
    [...Array(15).keys()],
  );
  const { body } = await system.get(`/api/v1/executions/${id}/events`, { accept: 'application/json' });
  assert.equal(body.events.filter(({ kind }: Body) => kind === 'step.stored').length, 15);
  await agent.report(id, { status: 'succeeded' });
});

test('what cannot be stored is refused', async () => {
  const id = await start();
  assert.equal((await put(id, 'k', 'x'.repeat(70_000))).status, 400);
  assert.equal((await put(id, 'a b', 1)).status, 400);
  assert.equal((await put(id, '__proto__', 1)).status, 201);
  assert.equal((await fetch(system.url + path(id, 'k'), { method: 'PUT', body: '{"valu":1}' })).status, 400);
  for (let i = 0; i < 8; i++) await put(id, `big-${i}`, 'x'.repeat(60_000));
  const full = await put(id, 'more', 'x'.repeat(60_000));
  assert.equal(full.status, 429);
  assert.equal(full.body.code, 'too_many_steps');
  await agent.report(id, { status: 'succeeded' });
});
