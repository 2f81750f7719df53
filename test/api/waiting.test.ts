import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { acceptingAgent, isCallOf } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer, sendJson } from '../support/http-server.ts';
import type { Received, TestServer } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

const shared = sharedContext();
let accepting: AcceptingAgent;
let direct: TestServer;
let streaming: TestServer;
let system: System;

/** Asks in its first turn what its input says, and answers with what it got in the second. */
function isFirstTurn({ headers }: Received): boolean {
  return headers['perdure-turn'] === undefined;
}

before(async () => {
  accepting = await acceptingAgent(shared);
  direct = await httpServer(shared, (request, response) => {
    const body = JSON.parse(request.body) as Body;
    if (!isFirstTurn(request)) return sendJson(response, 200, body);
    response.setHeader('perdure-status', 'waiting');
    sendJson(response, 200, { waiting: body.ask, checkpoint: { at: 'step 3' } });
  });
  streaming = await httpServer(shared, (request, response) => {
    const body = JSON.parse(request.body) as Body;
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    const last = isFirstTurn(request)
      ? { type: 'waiting', ...body.ask, checkpoint: [1, 2] }
      : { type: 'result', result: body };
    response.end(`{"type":"step","kind":"thought","summary":"hm"}\n${JSON.stringify(last)}\n`);
  });
  const agentNodes = { accepting: accepting.url, direct: direct.url, streaming: streaming.url };
  system = await startSystem(shared, { agentNodes });
});
after(shared.close);

const path = (id: string) => `/api/v1/executions/${id}`;
const QUESTION = { kind: 'question', text: 'Which year?' };
const APPROVAL = { kind: 'approval', text: 'Send 100 EUR?', options: ['yes', 'no'] };

async function start(target: string, input: object = {}, more: object = {}): Promise<string> {
  return (await system.post(`/api/v1/execute/async/${target}`, { input, ...more })).body.execution_id as string;
}

async function untilWaiting(id: string): Promise<Body> {
  for (;;) {
    const { body } = await system.get(path(id));
    if (body.waiting) return body;
    assert.equal(body.completed_at, null, JSON.stringify(body));
    await system.get(`${path(id)}?wait=5`);
  }
}

const kindsOf = async (id: string): Promise<string[]> =>
  (await system.get(`${path(id)}/events`, { accept: 'application/json' })).body.events.map(({ kind }: Body) => kind);

for (const target of ['direct.work', 'streaming.work']) {
  test(`${target}: a question is answered, and the agent goes on with its checkpoint`, async () => {
    const id = await start(target, { ask: QUESTION });
    const view = await untilWaiting(id);
    assert.equal(view.status, 'waiting');
    assert.equal(view.waiting.text, 'Which year?');
    assert.equal(view.waiting_on.kind, 'human');
    assert.equal(view.waiting_on.detail, 'Which year?');
    const answered = await system.post(`${path(id)}/resume`, { data: { year: 1999 }, by: 'ann' });
    assert.equal(answered.status, 200);
    assert.ok(answered.body.resumed_at);
    const end = await system.end(id);
    assert.equal(end.status, 'succeeded');
    assert.equal(end.turn, 2);
    const { input, turn, checkpoint, answer, messages } = end.result;
    assert.deepEqual(input, { ask: QUESTION });
    assert.equal(turn, 2);
    assert.deepEqual(checkpoint, target === 'direct.work' ? { at: 'step 3' } : [1, 2]);
    assert.deepEqual(answer, { data: { year: 1999 }, by: 'ann', is_default: false });
    assert.deepEqual(messages, []);
    const kinds = await kindsOf(id);
    assert.deepEqual(
      kinds.filter((kind) => ['checkpoint', 'waiting', 'answered', 'outcome'].includes(kind)),
      ['checkpoint', 'waiting', 'answered', 'outcome'],
    );
  });
}

test('while it waits no call, slot or timer of a worker is held, and the question is in the Temporal Web UI', async () => {
  const id = await start('direct.work', { ask: QUESTION });
  await untilWaiting(id);
  const { raw, memo } = await system.client.workflow.getHandle(id).describe();
  assert.deepEqual(raw.pendingActivities ?? [], []);
  assert.equal((memo as Body).lastWait.text, 'Which year?');
  await system.post(`${path(id)}/cancel`);
  const end = await system.end(id);
  assert.equal(end.status, 'cancelled');
  assert.deepEqual(end.checkpoint, { at: 'step 3' });
  assert.equal(direct.received.filter(({ path: to }) => to.includes(`${id}/cancel`)).length, 0, 'nobody is at work');
});

test('an approval is decided by one of its options, with who and why, and only once', async () => {
  const id = await start('direct.work', { ask: APPROVAL });
  await untilWaiting(id);
  const approve = (decision: unknown, more = {}) => system.post(`${path(id)}/approval`, { decision, ...more });
  const bad = await approve('maybe');
  assert.equal(bad.status, 400);
  assert.equal(bad.body.errors[0].message, 'must be one of yes, no');
  assert.equal((await approve('yes', { by: 'ann', reason: 'it is due' })).status, 200);
  const end = await system.end(id);
  assert.deepEqual(end.result.answer, { decision: 'yes', by: 'ann', reason: 'it is due', is_default: false });
  assert.equal((await approve('no')).status, 409);
});

test('of several who decide at once one is told yes, and the agent gets what that one said', async () => {
  const id = await start('direct.work', { ask: APPROVAL });
  await untilWaiting(id);
  const persons = Array.from({ length: 8 }, (_, i) => ({ decision: i % 2 ? 'yes' : 'no', by: `person ${i}` }));
  const answers = await Promise.all(persons.map((person) => system.post(`${path(id)}/approval`, person)));
  const taken = persons.filter((_, i) => answers[i]?.status === 200);
  assert.equal(taken.length, 1, answers.map(({ status }) => status).join());
  const refused = answers.filter(({ status }) => status !== 200);
  assert.ok(refused.every(({ status, body }) => status === 409 && body.code === 'not_waiting'));
  const end = await system.end(id);
  assert.deepEqual(end.result.answer, { ...taken[0], is_default: false });
});

test('an answer that is sent again is no news, and one for another question is refused', async () => {
  const id = await start('direct.work', { ask: QUESTION });
  assert.equal((await untilWaiting(id)).waiting.turn, 1);
  const resume = (body: object) => system.post(`${path(id)}/resume`, body);
  assert.equal((await resume({ data: 1999, turn: 2 })).body.code, 'not_waiting');
  assert.deepEqual(
    (await Promise.all([resume({ data: 1999, turn: 1 }), resume({ data: 1999 })])).map(({ status }) => status),
    [200, 200],
  );
  await system.running(id).catch(() => undefined);
  const again = await resume({ data: 1999, turn: 1 });
  assert.ok(again.status === 200 || again.body.code === 'execution_finished', JSON.stringify(again.body));
  assert.deepEqual((await system.end(id)).result.answer, { data: 1999, is_default: false });
});

test('a question that comes late, or twice, is not the word of the turn after', async () => {
  const id = await start('accepting.work');
  await accepting.callbackUrl(id);
  const ask = { status: 'waiting', waiting: QUESTION };
  const answers = await Promise.all([1, 2, 3].map(() => accepting.report(id, ask)));
  assert.ok(answers.every(({ status }) => status === 200));
  await untilWaiting(id);
  // As from an API process that was slow: after the answer, before the second call and after it.
  const late = () => system.client.workflow.getHandle(id).signal('agentCallback', { ...ask, turn: 1 });
  await Promise.all([system.post(`${path(id)}/resume`, { turn: 1 }), late()]);
  const [, second] = await accepting.waitFor(2, isCallOf(id));
  await late();
  const body = JSON.stringify({ status: 'succeeded', result: 'done' });
  assert.equal((await fetch(String(second?.headers['perdure-callback-url']), { method: 'POST', body })).status, 200);
  assert.equal((await system.end(id)).result, 'done');
  assert.deepEqual(
    (await kindsOf(id)).filter((kind) => kind === 'waiting'),
    ['waiting'],
  );
});

test('a message answers too, and comes with the call', async () => {
  const id = await start('direct.work', { ask: QUESTION });
  await untilWaiting(id);
  assert.equal((await system.post(`${path(id)}/messages`, { id: 'm', text: '1999' })).status, 202);
  const end = await system.end(id);
  assert.deepEqual(end.result.messages, [{ id: 'm', text: '1999', interrupt: false }]);
  const kinds = await kindsOf(id);
  assert.ok(kinds.indexOf('steer.delivered') > kinds.indexOf('steer.accepted'));
});

test('nobody answers in time: the default counts; without one the execution ends as timeout', async () => {
  const decided = await start('direct.work', { ask: { ...APPROVAL, expires_in_ms: 50, default: 'no' } });
  const told = await start('streaming.work', { ask: { ...QUESTION, expires_in_ms: 50, default: { year: 2000 } } });
  const ended = await start('direct.work', { ask: { ...QUESTION, expires_in_ms: 50 } });
  assert.deepEqual((await system.end(decided)).result.answer, { decision: 'no', is_default: true });
  assert.deepEqual((await system.end(told)).result.answer, { data: { year: 2000 }, is_default: true });
  const end = await system.end(ended);
  assert.equal(end.status, 'timeout');
  assert.equal(end.error, 'Nobody answered in time');
  assert.equal(end.error_category, 'unanswered');
  assert.deepEqual(end.checkpoint, { at: 'step 3' });
  assert.equal(direct.received.filter(isCallOf(ended)).length, 1);
});

test('an agent that had said 202 asks by callback, again and again, each turn with a URL of its own', async () => {
  const id = await start('accepting.work', { a: 1 });
  await accepting.callbackUrl(id);
  const ask = { status: 'waiting', waiting: QUESTION, checkpoint: 1 };
  assert.equal((await accepting.report(id, ask)).status, 200);
  await untilWaiting(id);
  assert.equal((await accepting.report(id, ask)).status, 200, 'the same word again is no news');
  const late = await accepting.report(id, { status: 'succeeded' });
  assert.equal(late.status, 409);
  assert.equal(late.body.code, 'turn_over');
  await system.post(`${path(id)}/resume`, { turn: 1 });
  const [, second] = await accepting.waitFor(2, isCallOf(id));
  assert.equal(second?.headers['perdure-turn'], '2');
  const url = String(second?.headers['perdure-callback-url']);
  assert.match(url, /\?turn=2$/);
  assert.equal((await accepting.report(id, ask)).status, 200, 'a late copy from the first turn');
  const post = (body: object) => fetch(url, { method: 'POST', body: JSON.stringify(body) });
  assert.equal((await post({ ...ask, checkpoint: 2 })).status, 200);
  const view = await untilWaiting(id);
  assert.equal(view.turn, 2);
  await system.post(`${path(id)}/resume`, { turn: 2 });
  const [, , third] = await accepting.waitFor(3, isCallOf(id));
  assert.equal((JSON.parse(third?.body ?? '{}') as Body).checkpoint, 2);
  const last = String(third?.headers['perdure-callback-url']);
  await fetch(last, { method: 'POST', body: JSON.stringify({ status: 'succeeded', result: 'done' }) });
  assert.equal((await system.end(id)).result, 'done');
});

test('the time limit of the execution holds while it waits', async () => {
  const id = await start('direct.work', { ask: QUESTION }, { timeout_ms: 1_500 });
  await untilWaiting(id);
  const end = await system.end(id);
  assert.equal(end.status, 'timeout');
  assert.equal(end.error, 'Agent timeout');
});

test('a question that makes no sense fails the execution of who asks so, and is refused by callback', async () => {
  for (const ask of [{ kind: 'riddle', text: 'x' }, { kind: 'question' }, { ...APPROVAL, default: 'perhaps' }, 1]) {
    const id = await start('direct.work', { ask });
    const end = await system.end(id);
    assert.equal(end.status, 'failed', JSON.stringify(ask));
    assert.equal(end.error_category, 'bad_response');
  }
  const id = await start('accepting.work');
  await accepting.callbackUrl(id);
  const { status, body } = await accepting.report(id, { status: 'waiting', waiting: { kind: 'question', text: 1 } });
  assert.equal(status, 400);
  assert.equal((body.errors as Body)[0].path, '$.waiting.text');
  assert.equal((await accepting.report(id, { status: 'waiting' })).status, 200, "AgentField's waiting is progress");
  assert.equal((await system.get(path(id))).body.waiting, null);
});

test('who answers what nobody asked is told', async () => {
  const id = await start('accepting.work');
  await accepting.callbackUrl(id);
  await system.running(id);
  const resumed = await system.post(`${path(id)}/resume`);
  assert.equal(resumed.status, 409);
  assert.equal(resumed.body.code, 'not_paused');
  const approved = await system.post(`${path(id)}/approval`, { decision: 'approve' });
  assert.equal(approved.status, 409);
  assert.equal(approved.body.code, 'not_waiting');
});

test('a later turn is called again when its call fails, and its log counts as the workflow does', async (t) => {
  let calls = 0;
  const failing = await httpServer(t, (request, response) => {
    if (!isFirstTurn(request)) {
      calls += 1;
      return calls < 3 ? sendJson(response, 503, {}) : sendJson(response, 200, JSON.parse(request.body));
    }
    response.setHeader('perdure-status', 'waiting');
    sendJson(response, 200, { waiting: QUESTION, checkpoint: 1 });
  });
  const policy = { agent: { initialIntervalMs: 400, maximumIntervalMs: 400 }, maxRunEvents: 12 };
  const own = await startSystem(t, { agentNodes: { f: failing.url }, policy });
  const id = (await own.post('/api/v1/execute/async/f.work', { timeout_ms: 600_000 })).body.execution_id as string;
  for (let view: Body = {}; !view.waiting;) ({ body: view } = await own.get(`${path(id)}?wait=5`));
  await own.post(`${path(id)}/resume`, { data: 'go' });
  // Paused in the middle of the turn: the call is handed back, and the execution goes on in another run.
  await failing.waitFor(1, (request) => isCallOf(id)(request) && !isFirstTurn(request));
  await own.post(`${path(id)}/pause`);
  await own.post(`${path(id)}/messages`, { id: 'm', text: 'hurry' });
  const handle = own.client.workflow.getHandle(id);
  while ((await handle.describe()).raw.pendingActivities?.length);
  await own.post(`${path(id)}/resume`);
  const end = await own.end(id);
  assert.equal(end.status, 'succeeded', JSON.stringify(end));
  assert.equal(end.result.turn, 2);
  assert.equal(end.result.checkpoint, 1);
  assert.deepEqual(end.result.answer, { data: 'go', is_default: false });
  assert.deepEqual(end.result.messages, [{ id: 'm', text: 'hurry', interrupt: false }]);
  const { body } = await own.get(`${path(id)}/events`, { accept: 'application/json' });
  const outcome = body.events.at(-1);
  assert.equal(outcome.kind, 'outcome');
  assert.equal(outcome.sequence, body.events.length);
  const kinds = body.events.map(({ kind }: Body) => kind).filter((kind: string) => kind.startsWith('steer.'));
  assert.deepEqual(kinds, ['steer.accepted', 'steer.delivered', 'steer.rejected']);
});
