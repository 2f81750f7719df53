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

const events = (id: string, body: unknown) => system.post(`/api/v1/executions/${id}/events`, body);
const logOf = async (id: string): Promise<Body[]> =>
  (await system.get(`/api/v1/executions/${id}/events?limit=1000`, { accept: 'application/json' })).body.events;

async function start(): Promise<string> {
  const { body } = await system.post('/api/v1/execute/async/a.x', {});
  await agent.callbackUrl(body.execution_id);
  await system.running(body.execution_id);
  return body.execution_id as string;
}

test('an agent says what it does, by one event or many, and is told how to go on', async () => {
  const id = await start();
  const one = await events(id, { type: 'step', kind: 'thought', name: 'plan', summary: 'read first' });
  assert.equal(one.status, 200);
  assert.equal(one.body.control, 'continue');
  assert.deepEqual(one.body.messages, []);
  const many = await events(id, {
    events: [
      { type: 'progress', progress_pct: 30 },
      { type: 'usage', input_tokens: 100, output_tokens: 20, cost_usd: 0.5 },
      { type: 'usage', output_tokens: 5 },
      { type: 'checkpoint', data: { page: 3 } },
      { type: 'weather', rain: true },
    ],
  });
  assert.equal(many.body.sequence, one.body.sequence + 5);
  const { body: view } = await system.get(`/api/v1/executions/${id}`);
  assert.deepEqual(view.last_step, {
    sequence: one.body.sequence,
    kind: 'thought',
    name: 'plan',
    summary: 'read first',
  });
  assert.deepEqual(view.usage, { input_tokens: 100, output_tokens: 25, cost_usd: 0.5 });
  assert.equal(view.progress_pct, 30);
  assert.equal(view.checkpoint, undefined);
  const asked = await system.get(`/api/v1/executions/${id}`, { 'Cache-Control': 'no-cache' });
  assert.deepEqual(asked.body, view);

  await agent.report(id, { status: 'failed', error: 'no paper' });
  const last = await system.end(id);
  assert.deepEqual(last.checkpoint, { page: 3 }, 'kept for every end that is not success');
  assert.deepEqual((await logOf(id)).map(({ kind }) => kind).slice(-7), [
    'step',
    'progress',
    'usage',
    'usage',
    'checkpoint',
    'weather',
    'outcome',
  ]);
});

test('an event with an id is recorded once, however often and however it is sent', async () => {
  const id = await start();
  const body = { type: 'note', id: 'n1', text: 'once' };
  const answers = await Promise.all(Array.from({ length: 5 }, () => events(id, body)));
  answers.push(await events(id, { events: [body, { ...body, id: 'n2' }, body] }));
  for (const { status } of answers) assert.equal(status, 200);
  assert.equal((await logOf(id)).filter(({ kind }) => kind === 'note').length, 2);
  await agent.report(id, { status: 'succeeded' });
});

test('a burst of events costs few signals and loses none', async () => {
  const id = await start();
  const sent = Array.from({ length: 200 }, (_, n) => events(id, { type: 'step', kind: 'message', name: `s${n}` }));
  for (const { status } of await Promise.all(sent)) assert.equal(status, 200);
  await agent.report(id, { status: 'succeeded' });
  await system.end(id);
  const steps = (await logOf(id)).filter(({ kind }) => kind === 'step').map(({ data }) => data.name as string);
  assert.equal(new Set(steps).size, 200);
  const { events: history } = await system.client.workflow.getHandle(id).fetchHistory();
  const signals = history?.filter((event) => event.workflowExecutionSignaledEventAttributes).length ?? 0;
  assert.ok(signals < 60, `${signals} signals`);
});

test('what is not of the vocabulary is refused with its path, and nothing of it is recorded', async () => {
  const id = await start();
  const cases: [unknown, RegExp][] = [
    [{ type: 'step', kind: 'dance' }, /^\$\.kind/],
    [{ type: 'step' }, /^\$\.kind/],
    [{ events: [{ type: 'note', text: 'good' }, { type: 'note' }] }, /^\$\.events\[1\]\.text/],
    [{ events: Array.from({ length: 501 }, () => ({ type: 'note', text: '' })) }, /^\$\.events/],
    [{ events: 5 }, /^\$\.events/],
    [{ type: 'outcome', status: 'succeeded' }, /^\$\.type/],
    [{ type: 'result', result: 1 }, /^\$\.type/],
    [{ type: 'a b' }, /^\$\.type/],
    [{ type: 5 }, /^\$\.type/],
    [{}, /^\$\.type/],
    [{ type: 'note', text: 'x', id: '' }, /^\$\.id/],
    [{ type: 'note', text: 'x', id: 'a b' }, /^\$\.id/],
    [{ type: 'own', text: 'x'.repeat(70_000) }, /^\$/],
    [[], /^\$/],
    ['text', /^\$/],
  ];
  for (const [body, path] of cases) {
    const { status, body: problem, text } = await events(id, JSON.stringify(body));
    assert.equal(status, 400, text);
    assert.match(problem.errors[0].path, path, text);
  }
  assert.equal((await events(id, 'not json')).status, 400);
  assert.equal((await events('exec_00000000000000000000000000000000', { type: 'note', text: 'x' })).status, 404);
  assert.ok((await logOf(id)).every(({ kind }) => kind !== 'note'));
  await agent.report(id, { status: 'succeeded' });
});

test('an agent whose execution is over is told to stop', async () => {
  const id = await start();
  await agent.report(id, { status: 'succeeded' });
  await system.end(id);
  const { status, body } = await events(id, { type: 'note', text: 'too late' });
  assert.equal(status, 409);
  assert.equal(body.code, 'execution_finished');
  assert.equal(body.control, 'cancel');
});
