import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isCallOf } from '../support/agents.ts';
import { httpServer, sendJson } from '../support/http-server.ts';
import type { TestServer } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

const shared = sharedContext();
let system: System;
before(async () => {
  system = await startSystem(shared, { agentNodes: { written: 'http://127.0.0.1:9' } });
});
after(shared.close);

const NODES = '/api/v1/nodes';
const REASONERS = [
  { id: 'work', input_schema: { type: 'object', required: ['q'], properties: { q: { type: 'string' } } } },
];

const register = (id: string, url: string, more: object = {}) =>
  system.post(`${NODES}/register`, { id, base_url: url, reasoners: REASONERS, ...more });

async function start(target: string, input: object = { q: 'x' }, more: object = {}): Promise<string> {
  const { status, body } = await system.post(`/api/v1/execute/async/${target}`, { input, ...more });
  assert.equal(status, 202, JSON.stringify(body));
  return body.execution_id as string;
}

/** An agent that says who it is. */
const answering = (name: string) => httpServer(shared, (_request, response) => sendJson(response, 200, { name }));

async function untilStatus(node: string, instanceId: string, status: string): Promise<Body> {
  for (;;) {
    const { body } = await system.get(`${NODES}/${node}`);
    const instance = body.instances?.find((one: Body) => one.instance_id === instanceId);
    if (instance?.status === status) return body;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('a process registers, is listed and is called', async () => {
  const agent = await answering('one');
  const answer = await register('joiner', agent.url, { instance_id: 'p1', version: '1.2.3' });
  assert.equal(answer.status, 201);
  assert.equal(answer.body.success, true);
  assert.equal(answer.body.node_id, 'joiner');
  const { body: view } = await system.get(`${NODES}/joiner`);
  assert.equal(view.health_status, 'active');
  assert.equal(view.reasoners[0].id, 'work');
  const { body: list } = await system.get(NODES);
  assert.deepEqual(
    list.nodes.map(({ id, source }: Body) => [id, source]),
    [
      ['joiner', 'registered'],
      ['written', 'configured'],
    ],
  );
  assert.deepEqual((await system.end(await start('joiner.work'))).result, { name: 'one' });
  const unknown = await system.post('/api/v1/execute/async/joiner.other', { input: {} });
  assert.equal(unknown.status, 404);
  assert.equal((await system.post(`${NODES}/joiner/heartbeat`, { instance_id: 'p1', status: 'ready' })).status, 200);
  assert.equal((await system.post(`${NODES}/joiner/heartbeat`)).status, 200, 'the only one need not say who it is');
  assert.equal((await system.post(`${NODES}/joiner/heartbeat`, { instance_id: 'p2' })).status, 404);
  assert.equal((await system.post(`${NODES}/nobody/heartbeat`)).body.code, 'node_not_found');
});

test('calls are spread over the instances, and one that leaves takes nothing with it', async () => {
  const [one, two] = [await answering('one'), await answering('two')] as [TestServer, TestServer];
  await register('many', one.url, { instance_id: 'i1' });
  await register('many', two.url, { instance_id: 'i2' });
  const names = async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, () => start('many.work')));
    return new Set((await Promise.all(ids.map(system.end))).map(({ result }) => result.name as string));
  };
  assert.deepEqual(await names(), new Set(['one', 'two']));
  assert.equal((await system.post(`${NODES}/many/shutdown`, { instance_id: 'i1' })).status, 202);
  await untilStatus('many', 'i1', 'draining');
  assert.deepEqual(await names(), new Set(['two']));
});

test('what a killed process had said 202 to goes to another one, with its checkpoint', async () => {
  const accepting = () => httpServer(shared, (_request, response) => sendJson(response, 202, {}));
  const [one, two] = [await accepting(), await accepting()] as [TestServer, TestServer];
  const communication_config = { heartbeat_interval: '1s' };
  await register('mortal', one.url, { instance_id: 'm1', communication_config });
  const id = await start('mortal.work');
  const [call] = await one.waitFor(1, isCallOf(id));
  await register('mortal', two.url, { instance_id: 'm2', communication_config });
  const beats = setInterval(() => void system.post(`${NODES}/mortal/heartbeat`, { instance_id: 'm2' }), 500);
  shared.after(() => clearInterval(beats));
  const events = String(call?.headers['perdure-events-url']);
  await fetch(events, { method: 'POST', body: JSON.stringify({ type: 'checkpoint', data: { at: 7 } }) });
  await one.close();
  const [again] = await two.waitFor(1, isCallOf(id));
  assert.equal(again?.headers['x-execution-attempt'], '2');
  assert.deepEqual(JSON.parse(again?.body ?? '{}'), {
    input: { q: 'x' },
    turn: 1,
    checkpoint: { at: 7 },
    answer: null,
    messages: [],
  });
  const url = String(again?.headers['perdure-callback-url']);
  assert.equal((await fetch(url, { method: 'POST', body: '{"status":"succeeded","result":1}' })).status, 200);
  const end = await system.end(id);
  assert.equal(end.result, 1);
  const { body } = await system.get(`/api/v1/executions/${id}/events`, { accept: 'application/json' });
  assert.deepEqual(
    body.events.map(({ kind }: Body) => kind).filter((kind: string) => kind !== 'running'),
    ['queued', 'checkpoint', 'handed_over', 'outcome'],
  );
  clearInterval(beats);
});

test('without another instance it waits for one to come back', async () => {
  const one = await httpServer(shared, (_request, response) => sendJson(response, 202, {}));
  await register('lonely', one.url, { instance_id: 'l1', communication_config: { heartbeat_interval: '1s' } });
  const id = await start('lonely.work');
  await one.waitFor(1, isCallOf(id));
  await one.close();
  await untilStatus('lonely', 'l1', 'lost');
  const back = await answering('back');
  await register('lonely', back.url, { instance_id: 'l2' });
  assert.deepEqual((await system.end(id)).result, { name: 'back' });
});

test('a process without an id of its own that begins anew is called anew, one that only connects again is not', async () => {
  const agent = await httpServer(shared, (_request, response) => sendJson(response, 202, {}));
  const say = (lifecycle_status: string) => register('reborn', agent.url, { lifecycle_status });
  await say('starting');
  const id = await start('reborn.work');
  await agent.waitFor(1, isCallOf(id));
  await system.running(id);
  await say('degraded');
  await say('starting');
  const [, again] = await agent.waitFor(2, isCallOf(id));
  assert.equal(again?.headers['x-execution-attempt'], '2');
  const url = String(again?.headers['perdure-callback-url']);
  assert.equal((await fetch(url, { method: 'POST', body: '{"status":"succeeded","result":1}' })).status, 200);
  assert.equal((await system.end(id)).result, 1);
  assert.equal(agent.received.filter(isCallOf(id)).length, 2);
});
