/** What a client, a person or an agent may do within the limits, and must not get anywhere with. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { acceptingAgent, isCallOf } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

const shared = sharedContext();
let agent: AcceptingAgent;
let system: System;
before(async () => {
  agent = await acceptingAgent(shared);
  system = await startSystem(shared, { agentNodes: { a: agent.url }, policy: { maxRunEvents: 60 } });
});
after(shared.close);

const path = (id: string) => `/api/v1/executions/${id}`;
const view = async (id: string) => (await system.get(path(id))).body;
const QUESTION = { kind: 'question', text: 'Which year?' };
const APPROVAL = { kind: 'approval', text: 'Send it?', options: ['yes', 'no'] };

async function start(more: object = {}): Promise<string> {
  const id = (await system.post('/api/v1/execute/async/a.work', more)).body.execution_id as string;
  await agent.callbackUrl(id);
  return id;
}

async function ask(id: string, question: object, checkpoint?: unknown): Promise<Body> {
  return agent.report(id, { status: 'waiting', waiting: question, ...(checkpoint !== undefined && { checkpoint }) });
}

async function untilWaiting(id: string): Promise<Body> {
  for (;;) {
    const now = await view(id);
    if (now.waiting) return now.waiting;
    assert.equal(now.completed_at, null, JSON.stringify(now));
    await system.get(`${path(id)}?wait=1`);
  }
}

/** Ends a later turn. */
async function sayInTurn(id: string, turn: number, word: object): Promise<{ status: number; body: Body }> {
  const url = `${await agent.callbackUrl(id)}?turn=${turn}`;
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(word) });
  return { status: response.status, body: await response.json() };
}

test('however many speak at once, the agent has only so much to deal with, and goes on with all of it', async () => {
  const id = await start();
  const speak = (text: string) => system.post(`${path(id)}/messages`, { text });
  const answers = await Promise.all(Array.from({ length: 120 }, (_, i) => speak(`message ${i}`)));
  const taken = answers.filter(({ status }) => status === 202).length;
  assert.equal(taken, 50);
  assert.ok(answers.every(({ status, body }) => status === 202 || body.code === 'too_many_messages'));
  assert.equal((await view(id)).open_messages, 50);
  const long = await start();
  const told = await Promise.all(
    Array.from({ length: 50 }, () => system.post(`${path(long)}/messages`, { text: '\u0001'.repeat(8192) })),
  );
  assert.ok(told.some(({ status }) => status === 429));
  assert.equal((await ask(long, QUESTION)).status, 200);
  await untilWaiting(long);
  await system.post(`${path(long)}/resume`, { data: 1 });
  const [, again] = await agent.waitFor(2, isCallOf(long));
  assert.equal(JSON.parse(again?.body ?? '{}').messages.length, told.filter(({ status }) => status === 202).length);
  for (const one of [id, long]) await system.post(`${path(one)}/cancel?terminate=true`);
});

test('many patches of a large document neither hold the API nor the workflow', async () => {
  const id = await start();
  const numbers = Array.from({ length: 25_000 }, () => 1);
  const post = (...events: object[]) => system.post(`${path(id)}/events`, { events });
  for (const name of ['p', 'q', 'r', 's', 't']) {
    const patch = [{ op: 'add', path: `/${name}`, value: numbers }];
    assert.equal((await post({ type: 'context.patch', patch })).status, 200);
  }
  const change = Array.from({ length: 200 }, (_, i) => ({ op: 'replace', path: `/p/${i}`, value: 2 }));
  const patches = Array.from({ length: 51 }, () => ({ type: 'context.patch', patch: change }));
  assert.equal((await post(...patches)).status, 400);
  assert.equal((await post(...patches.slice(1))).status, 200);
  await agent.report(id, { status: 'succeeded', result: 'ok' });
  assert.equal((await system.end(id)).result, 'ok');
});

test('numbers that grow when they are written out are refused, not tried for ever', async () => {
  const id = await start();
  const events = Array.from({ length: 40 }, (_, i) => ({
    type: 'n',
    data: JSON.parse(`[${'1e20,'.repeat(2_600)}${i}]`),
  }));
  const body = JSON.stringify({ events }).replaceAll('100000000000000000000', '1e20');
  const response = await fetch(`${system.url}${path(id)}/events`, { method: 'POST', body });
  assert.equal(response.status, 413);
  await agent.report(id, { status: 'succeeded' });
});

test('a resume that is sent again does not answer the question that is open', async () => {
  const id = await start();
  await ask(id, QUESTION);
  await untilWaiting(id);
  await system.post(`${path(id)}/pause`);
  const message = await system.post(`${path(id)}/messages`, { text: 'hello' });
  assert.equal(message.body.code, 'not_waiting', 'nor does a message while it is paused');
  assert.equal((await system.post(`${path(id)}/resume`, { by: 'ann' })).status, 200);
  assert.equal((await system.post(`${path(id)}/resume`, { by: 'ann' })).status, 409);
  assert.equal((await view(id)).status, 'waiting');
  assert.equal((await system.post(`${path(id)}/resume`, { turn: 1 })).status, 200);
  await agent.waitFor(2, isCallOf(id));
  await sayInTurn(id, 2, { status: 'succeeded' });
});

test('an answer that is sent again is no answer to the next question', async () => {
  const id = await start();
  const approve = (more: object = {}) => system.post(`${path(id)}/approval`, { decision: 'yes', ...more });
  await ask(id, APPROVAL);
  await untilWaiting(id);
  assert.equal((await approve()).status, 200);
  await agent.waitFor(2, isCallOf(id));
  assert.equal(
    (await sayInTurn(id, 2, { status: 'waiting', waiting: { ...APPROVAL, text: 'Delete it?' } })).status,
    200,
  );
  await untilWaiting(id);
  assert.equal((await approve()).body.code, 'not_waiting');
  assert.equal((await approve({ turn: 1 })).status, 200, 'it was the answer to that one');
  assert.equal((await view(id)).waiting.text, 'Delete it?');
  assert.equal((await approve({ turn: 2 })).status, 200);
  await agent.waitFor(3, isCallOf(id));
  await sayInTurn(id, 3, { status: 'succeeded' });
});

test('of two questions that end one turn one counts, with the checkpoint that came with it', async () => {
  const id = await start();
  const questions = Array.from({ length: 6 }, (_, i) => ({ kind: 'question', text: `q${i}` }));
  const answers = await Promise.all(questions.map((question, i) => ask(id, question, { i })));
  assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  assert.ok(answers.every(({ status, body }) => status === 200 || body.code === 'conflicting_callback'));
  const i = answers.findIndex(({ status }) => status === 200);
  assert.equal((await untilWaiting(id)).text, `q${i}`);
  assert.equal((await ask(id, questions[i] ?? {}, { i: 'late' })).status, 200, 'the same again is no news');
  await system.post(`${path(id)}/resume`, { data: 1 });
  const [, again] = await agent.waitFor(2, isCallOf(id));
  assert.deepEqual(JSON.parse(again?.body ?? '{}').checkpoint, { i });
  await sayInTurn(id, 2, { status: 'succeeded' });
});

test('a turn that has not begun cannot be ended', async () => {
  const id = await start();
  for (const turn of [2, 1_000_000])
    assert.equal((await sayInTurn(id, turn, { status: 'succeeded' })).body.code, 'turn_not_begun');
  await ask(id, QUESTION);
  await untilWaiting(id);
  assert.equal((await sayInTurn(id, 2, { status: 'succeeded' })).body.code, 'turn_not_begun');
  assert.equal((await view(id)).status, 'waiting');
  await system.client.workflow.getHandle(id).signal('agentCallback', { status: 'succeeded', result: 0, turn: 2 });
  await system.post(`${path(id)}/resume`, { data: 1 });
  await agent.waitFor(2, isCallOf(id));
  assert.equal((await sayInTurn(id, 2, { status: 'succeeded', result: 'two' })).status, 200);
  assert.equal((await system.end(id)).result, 'two');
});

test('the id of a message is that of one message, unless it was refused', async () => {
  const id = await start();
  const steer = (message: object) => system.post(`${path(id)}/messages`, message);
  const post = (...events: object[]) => system.post(`${path(id)}/events`, { events });
  await steer({ id: 'm', text: 'delete file A' });
  await post();
  await post({ type: 'steer.applied', message_id: 'm', step: 'x' });
  assert.equal((await steer({ id: 'm', text: 'delete file B' })).body.code, 'message_id_reused');
  assert.equal((await steer({ id: 'm', text: 'delete file A' })).body.status, 'applied');
  await post({ type: 'context.patch', patch: [{ op: 'add', path: '/a', value: 1 }] });
  // As when the patch came in between.
  await system.client.workflow.getHandle(id).signal('steer', { id: 's', text: 'hm', ifRev: 0 });
  assert.equal((await steer({ id: 's', text: 'hm', if_rev: 0 })).body.code, 'context_changed');
  const again = await steer({ id: 's', text: 'hm', if_rev: 1 });
  assert.equal(again.body.status, 'accepted');
  assert.deepEqual(
    (await post()).body.messages.map(({ id: one }: Body) => one),
    ['s'],
  );
  await agent.report(id, { status: 'succeeded' });
});

test('time in which nobody could answer is given back', async () => {
  const id = await start();
  await ask(id, { ...QUESTION, expires_in_ms: 600_000 });
  const { expires_at: before } = await untilWaiting(id);
  await system.post(`${path(id)}/pause`);
  await new Promise((resolve) => setTimeout(resolve, 50));
  await system.post(`${path(id)}/resume`);
  const { expires_at: afterwards } = await untilWaiting(id);
  assert.ok(Date.parse(afterwards) >= Date.parse(before) + 50, `${before} ${afterwards}`);
  await system.post(`${path(id)}/cancel?terminate=true`);
});

test('a pause over several Temporal runs counts once', async () => {
  const id = await start({ timeout_ms: 600_000 });
  await system.post(`${path(id)}/pause`);
  const handle = system.client.workflow.getHandle(id);
  const { runId } = await handle.describe();
  for (let i = 0; (await handle.describe()).runId === runId; i++)
    await system.post(`${path(id)}/events`, { type: 'note', text: `note ${i}` });
  const { events = [] } = await handle.fetchHistory();
  const [payload] = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
  const { carried } = JSON.parse(Buffer.from(payload?.data ?? []).toString());
  assert.equal(carried.pausedMs, 0, 'the pause at hand is told by when it began');
  assert.ok(carried.state.paused.since);
  await system.post(`${path(id)}/cancel?terminate=true`);
});

test('comments keep a stream open, and a question may have an id and a header of any case', async (t) => {
  const streaming = await httpServer(t, (request, response) => {
    if (request.path.endsWith('/comments')) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let i = 0; i < 1_500; i++) response.write(`: ${'x'.repeat(1_000)}\n\n`);
      return void response.end('data: {"type":"result","result":"small"}\n\n');
    }
    if (request.path.endsWith('/frame')) {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' });
      return void response.end('{"type":"waiting","id":"q1","kind":"question","text":"Which year?"}\n');
    }
    response.writeHead(200, { 'content-type': 'application/json', 'Perdure-Status': 'Waiting' });
    response.end(JSON.stringify({ waiting: QUESTION }));
  });
  const own = await startSystem(t, { agentNodes: { s: streaming.url } });
  const run = async (name: string) =>
    (await own.post(`/api/v1/execute/async/s.${name}`, {})).body.execution_id as string;
  assert.equal((await own.end(await run('comments'))).result, 'small');
  for (const name of ['frame', 'header']) {
    const id = await run(name);
    let now: Body = {};
    while (!now.waiting && !now.completed_at) ({ body: now } = await own.get(`${path(id)}?wait=5`));
    assert.equal(now.waiting?.text, 'Which year?', JSON.stringify(now));
    await own.post(`${path(id)}/cancel`);
  }
});
