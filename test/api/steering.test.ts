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
  system = await startSystem(shared, { agentNodes: { a: agent.url } });
});
after(shared.close);

async function start(): Promise<string> {
  const { body } = await system.post('/api/v1/execute/async/a.work', {});
  await agent.callbackUrl(body.execution_id);
  await system.running(body.execution_id);
  return body.execution_id as string;
}

const path = (id: string) => `/api/v1/executions/${id}`;
const ask = (id: string, ...events: object[]) => system.post(`${path(id)}/events`, { events });
const steer = (id: string, message: object) => system.post(`${path(id)}/messages`, message);
const receiptsOf = async (id: string): Promise<Body[]> =>
  (await system.get(`${path(id)}/events`, { accept: 'application/json' })).body.events
    .filter(({ kind }: Body) => kind.startsWith('steer.'))
    .map(({ kind, data }: Body) => [kind, data.id]);

test('a message reaches the agent with its next callback, until it has said what became of it', async () => {
  const id = await start();
  const sent = await steer(id, { id: 'm1', text: 'look at webhooks', interrupt: true, from: 'ann' });
  assert.equal(sent.status, 202);
  assert.equal(sent.body.status, 'accepted');
  const asked = await ask(id);
  assert.equal(asked.body.control, 'hold');
  assert.deepEqual(asked.body.messages, [{ id: 'm1', text: 'look at webhooks', interrupt: true, from: 'ann' }]);
  assert.equal((await ask(id)).body.messages.length, 1, 'an answer may have got lost');
  const applied = await ask(id, { type: 'steer.applied', message_id: 'm1', step: 'search again' });
  assert.equal(applied.body.control, 'continue');
  assert.deepEqual(applied.body.messages, []);
  assert.deepEqual(await receiptsOf(id), [
    ['steer.accepted', 'm1'],
    ['steer.delivered', 'm1'],
    ['steer.applied', 'm1'],
  ]);
  const { body } = await system.get(`${path(id)}/messages`);
  assert.deepEqual(body.messages, [{ execution_id: id, id: 'm1', status: 'applied', sequence: sent.body.sequence }]);
});

test('a message sent again is no news, its id for another text is refused', async () => {
  const id = await start();
  const first = await steer(id, { id: 'm', text: 'a' });
  const again = await steer(id, { id: 'm', text: 'a' });
  assert.deepEqual(again.body, first.body);
  assert.equal((await steer(id, { id: 'm', text: 'b' })).body.code, 'message_id_reused');
  assert.equal((await receiptsOf(id)).length, 1);
  const [one, two] = await Promise.all([steer(id, { text: 'x' }), steer(id, { text: 'x' })]);
  assert.notEqual(one.body.id, two.body.id, 'without an id each is one of its own');
});

test('a message from who has not seen the newest context is refused, with what has changed', async () => {
  const id = await start();
  await ask(id, { type: 'context.patch', patch: [{ op: 'add', path: '/a', value: 1 }] });
  await ask(id, { type: 'context.patch', patch: [{ op: 'add', path: '/b', value: 2 }] });
  const stale = await steer(id, { text: 'forget a', if_rev: 1 });
  assert.equal(stale.status, 409);
  assert.equal(stale.body.code, 'context_changed');
  assert.equal(stale.body.rev, 2);
  assert.deepEqual(
    stale.body.patches.map(({ rev, patch }: Body) => [rev, patch[0].path]),
    [[2, '/b']],
  );
  assert.equal((await steer(id, { text: 'forget a', if_rev: 2 })).status, 202);
  assert.equal((await receiptsOf(id)).length, 1);
});

test('what an agent has not dealt with when the execution ends is rejected, before the outcome', async () => {
  const id = await start();
  await steer(id, { id: 'late', text: 'one more thing' });
  await agent.report(id, { status: 'succeeded', result: 1 });
  await system.end(id);
  const { events } = (await system.get(`${path(id)}/events`, { accept: 'application/json' })).body;
  assert.deepEqual(
    events.slice(-2).map(({ kind, data, sequence }: Body) => [kind, data.id ?? data.status, sequence]),
    [
      ['steer.rejected', 'late', events.length - 1],
      ['outcome', 'succeeded', events.length],
    ],
  );
  assert.equal((await steer(id, { text: 'too late' })).body.code, 'execution_finished');
});

test('an agent may say superseded or rejected, but not of a message that nobody sent', async () => {
  const id = await start();
  await steer(id, { id: 'm1', text: 'left' });
  await steer(id, { id: 'm2', text: 'right' });
  await ask(
    id,
    { type: 'steer.superseded', message_id: 'm1' },
    { type: 'steer.rejected', message_id: 'm2', reason: 'there is no right' },
  );
  assert.deepEqual((await receiptsOf(id)).slice(-2), [
    ['steer.superseded', 'm1'],
    ['steer.rejected', 'm2'],
  ]);
  assert.equal((await ask(id, { type: 'steer.applied', message_id: 'm3' })).status, 400);
  assert.equal((await ask(id, { type: 'steer.accepted', message_id: 'm1' })).status, 400);
  const again = await ask(id, { type: 'steer.applied', message_id: 'm1' });
  assert.equal(again.status, 200, 'the first word on a message stands');
  assert.equal((await receiptsOf(id)).length, 4);
});

test('bad messages are refused with their path', async () => {
  const id = await start();
  for (const [message, where] of [
    [{}, '$'],
    [{ text: 'a', data: 1 }, '$'],
    [{ text: '' }, '$.text'],
    [{ text: 'x'.repeat(8 * 1024 + 1) }, '$.text'],
    [{ data: 'x'.repeat(8 * 1024) }, '$.data'],
    [{ text: 'a', if_rev: -1 }, '$.if_rev'],
    [{ text: 'a', id: 'a b' }, '$.id'],
    [{ text: 'a', interupt: true }, '$.interupt'],
  ] as const) {
    const { status, body } = await steer(id, message);
    assert.equal(status, 400, JSON.stringify(message));
    assert.equal(body.errors[0].path, where);
  }
  assert.equal((await steer(`exec_${'0'.repeat(32)}`, { text: 'a' })).status, 404);
});

test('an agent that never deals with its messages gets only so many', async () => {
  const id = await start();
  for (let i = 0; i < 50; i++) assert.equal((await steer(id, { text: `${i}` })).status, 202);
  const { status, body, headers } = await steer(id, { text: 'one too many' });
  assert.equal(status, 429);
  assert.equal(body.code, 'too_many_messages');
  assert.ok(headers.get('retry-after'));
  assert.equal((await ask(id)).body.messages.length, 50);
});
