import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { acceptingAgent, isCallOf } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer, sendJson, webhookReceiver } from '../support/http-server.ts';
import type { TestServer } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Answered, System } from '../support/system.ts';

const shared = sharedContext();
/** Answers with the number of the call, so that no two answers are alike; refuses when told to. */
let counting: TestServer;
let slow: AcceptingAgent;
let system: System;
before(async () => {
  counting = await httpServer(shared, (request, response) => {
    const { refuse } = JSON.parse(request.body) as { refuse?: boolean };
    sendJson(response, refuse ? 409 : 200, { call: counting.received.length });
  });
  slow = await acceptingAgent(shared);
  system = await startSystem(shared, { agentNodes: { count: counting.url, slow: slow.url } });
});
after(shared.close);

const SYNC = '/api/v1/execute/count.up';
const ASYNC = '/api/v1/execute/async/count.up';
const withKey = (path: string, key: string, body: unknown = { input: { n: 1 } }): Promise<Answered> =>
  system.post(path, body, { 'Idempotency-Key': key });
const isReplay = ({ headers }: Answered): boolean => headers.get('Idempotency-Replayed') === 'true';
const callsOf = (id: string): number => counting.received.filter(isCallOf(id)).length;

test('the same key and body are the same execution, asynchronously and synchronously, quoted or bare', async () => {
  const key = randomUUID();
  const first = await withKey(ASYNC, key);
  assert.equal(first.status, 202);
  assert.equal(first.headers.get('Idempotency-Replayed'), null);
  const id = first.body.execution_id as string;
  await system.end(id);
  const { call } = (await system.get(`/api/v1/executions/${id}`)).body.result;
  for (const spelling of [key, `"${key}"`, ` ${key} `]) {
    const again = await withKey(ASYNC, spelling);
    assert.equal(again.status, 202);
    assert.ok(isReplay(again), spelling);
    assert.equal(again.body.execution_id, id);
    assert.equal(again.body.run_id, first.body.run_id);
    assert.equal(again.body.created_at, first.body.created_at);
    assert.equal(again.headers.get('Location'), first.headers.get('Location'));
    assert.equal(again.headers.get('X-Execution-ID'), id);
    const sync = await withKey(SYNC, spelling);
    assert.equal(sync.status, 200);
    assert.ok(isReplay(sync));
    assert.equal(sync.body.execution_id, id);
    assert.deepEqual(sync.body.result, { call }, 'the result of then, not of a new call');
  }
  assert.equal(callsOf(id), 1);
});

test('a synchronous replay of what is still running waits for its end', async () => {
  const key = randomUUID();
  const path = '/api/v1/execute/slow.work';
  const first = await withKey('/api/v1/execute/async/slow.work', key);
  const waiting = withKey(path, key);
  const briefly = await system.post(path, { input: { n: 1 } }, { 'Idempotency-Key': key, Prefer: 'respond-async' });
  assert.equal(briefly.status, 202);
  assert.ok(isReplay(briefly));
  await slow.report(first.body.execution_id, { status: 'ok', result: 'late' });
  const { status, body } = await waiting;
  assert.deepEqual([status, body.result, body.execution_id], [200, 'late', first.body.execution_id]);
});

test('a failure is replayed as it was', async () => {
  const key = randomUUID();
  const first = await withKey(SYNC, key, { input: { refuse: true } });
  assert.equal(first.status, 409);
  assert.equal(first.body.status, 'failed');
  const again = await withKey(SYNC, key, { input: { refuse: true } });
  assert.ok(isReplay(again));
  assert.deepEqual([again.status, again.body], [first.status, first.body]);
  assert.equal(callsOf(first.body.execution_id), 1);
});

test('the same key with anything else in it is 422 and changes nothing', async () => {
  const key = randomUUID();
  const webhook = { url: 'http://127.0.0.1:9/', secret: 'one', headers: { 'x-a': '1' } };
  const body = { input: { n: 1, list: [1, 2] }, webhook, timeout_ms: 60_000, context: { c: 1 } };
  const first = await withKey(SYNC, key, body);
  assert.equal(first.status, 200);
  const others: [path: string, body: unknown][] = [
    [SYNC, {}],
    [SYNC, { ...body, input: { n: 2, list: [1, 2] } }],
    [SYNC, { ...body, input: { n: '1', list: [1, 2] } }],
    [SYNC, { ...body, input: { n: 1, list: [2, 1] } }],
    [SYNC, { ...body, webhook: undefined }],
    [SYNC, { ...body, webhook: { ...webhook, secret: 'two' } }],
    [SYNC, { ...body, webhook: { ...webhook, headers: { 'x-a': '2' } } }],
    [SYNC, { ...body, timeout_ms: 60_001 }],
    [SYNC, { ...body, context: {} }],
    ['/api/v1/execute/count.down', body],
    ['/api/v1/execute/async/slow.up', body],
  ];
  for (const [path, other] of others) {
    const { status, body: problem, headers } = await withKey(path, key, other);
    assert.deepEqual([status, problem.code], [422, 'idempotency_key_reused'], JSON.stringify(other));
    assert.match(headers.get('Content-Type') ?? '', /^application\/problem\+json/);
    assert.equal(problem.execution_id, first.body.execution_id);
    assert.equal(headers.get('Idempotency-Replayed'), null);
  }
  assert.ok(isReplay(await withKey(SYNC, key, body)));
  assert.equal(callsOf(first.body.execution_id), 1);
});

test('the order of keys, white space, and a missing input for an empty one make no difference', async () => {
  const key = randomUUID();
  const first = await withKey(SYNC, key, '{"input":{"a":1,"b":{"c":[1,2],"d":null}},"context":{"x":1}}');
  const again = await withKey(SYNC, key, ' { "context":{"x":1.0},\n "input":{"b":{"d":null,"c":[1,2]},"a":1} }');
  assert.ok(isReplay(again), again.text);
  assert.equal(again.body.execution_id, first.body.execution_id);
  const other = randomUUID();
  await withKey(SYNC, other, {});
  for (const body of ['', { input: {} }]) assert.ok(isReplay(await withKey(SYNC, other, body)));
});

test('other keys, and requests without one, are executions of their own', async () => {
  const keys = [randomUUID(), randomUUID(), 'é'.repeat(20), 'x'.repeat(255)].map(
    (key) => `${key.slice(0, 200)}${Date.now()}`,
  );
  const answers = await Promise.all([
    ...keys.map((key) => withKey(SYNC, key)),
    system.post(SYNC, {}),
    system.post(SYNC, {}),
  ]);
  assert.equal(new Set(answers.map(({ body }) => body.execution_id as string)).size, 6);
  assert.ok(answers.every((answer) => answer.status === 200 && !isReplay(answer)));
});

for (const [how, path, wanted] of [
  ['asynchronous', ASYNC, 202],
  ['synchronous', SYNC, 200],
] as const)
  test(`of 100 concurrent ${how} duplicates one starts the execution and all get it`, async () => {
    const key = randomUUID();
    const answers = await Promise.all(Array.from({ length: 100 }, () => withKey(path, key)));
    for (const { status, text } of answers) assert.equal(status, wanted, text);
    const ids = new Set(answers.map(({ body }) => body.execution_id as string));
    assert.equal(ids.size, 1);
    assert.equal(answers.filter(isReplay).length, 99);
    const [id = ''] = ids;
    const { result } = await system.end(id);
    if (wanted === 200) for (const { body } of answers) assert.deepEqual(body.result, result);
    assert.equal(callsOf(id), 1, 'the agent was called once');
  });

test('a key still names its execution after its webhook was sent again', async (t) => {
  const receiver = await webhookReceiver(t, 410, 204);
  const key = randomUUID();
  const body = { webhook: { url: receiver.url } };
  const first = await withKey(SYNC, key, body);
  const id = first.body.execution_id as string;
  await system.client.workflow.getHandle(id).result();
  assert.equal((await system.post(`/api/v1/executions/${id}/webhook/redeliver`)).status, 202);
  await receiver.waitFor(2);
  for (let i = 0; i < 2; i++) {
    const again = await withKey(SYNC, key, body);
    assert.ok(isReplay(again), again.text);
    assert.deepEqual([again.status, again.body], [200, first.body]);
    assert.equal((await withKey(ASYNC, key, {})).status, 422);
    await system.client.workflow.getHandle(id).result();
  }
  assert.equal(callsOf(id), 1);
});
