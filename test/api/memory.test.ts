import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { memoryValue, memoryList } from '../../api/memory-schemas.ts';
import { problemDetails } from '../../api/schemas.ts';
import { memoryWorkflowId } from '../../workflows/memory-contract.ts';
import type { MemoryScope } from '../../workflows/memory-contract.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Answered, Body, System } from '../support/system.ts';

const shared = sharedContext();
let system: System;
before(async () => {
  system = await startSystem(shared, { agentNodes: {} });
});
after(shared.close);

const MEMORY = '/api/v1/memory';
type Headers = Record<string, string>;

const set = (body: string | object, headers: Headers = {}, on = system) => on.post(`${MEMORY}/set`, body, headers);
const get = (body: object, headers: Headers = {}, on = system) => on.post(`${MEMORY}/get`, body, headers);
const remove = (body: object, headers: Headers = {}, on = system) => on.post(`${MEMORY}/delete`, body, headers);

/** A memory that no other test has to do with. */
function fresh(): { id: string; headers: Headers } {
  const id = `s-${randomUUID()}`;
  return { id, headers: { 'x-session-id': id } };
}

const workflowIdOf = (scope: MemoryScope, scopeId: string, on = system) =>
  memoryWorkflowId({ scope, scopeId }, on.taskQueue);

const eventsOf = async (scope: MemoryScope, scopeId: string, on = system) =>
  (await on.client.workflow.getHandle(workflowIdOf(scope, scopeId, on)).fetchHistory()).events ?? [];

const dataOf = ({ status, body }: Answered): unknown => (status === 200 ? body.data : status);

test('what was set is there at once, in its shape, and gone once it is deleted', async () => {
  const { id, headers } = fresh();
  const data = { a: [1, 2.5, null, 'ü€😀'], b: {} };
  const written = await set({ key: 'user.name', data }, { ...headers, 'x-agent-node-id': 'a' });
  assert.equal(written.status, 200);
  const { created_at, updated_at, ...rest } = memoryValue.strict().parse(written.body);
  assert.deepEqual(rest, {
    scope: 'session',
    scope_id: id,
    key: 'user.name',
    data,
    access_level: '',
    metadata: {},
    rev: 1,
  });
  assert.equal(created_at, updated_at);
  assert.equal(written.headers.get('perdure-memory-rev'), '1');
  assert.deepEqual((await get({ key: 'user.name' }, headers)).body, written.body);

  const again = await set({ key: 'user.name', data: 'x' }, headers);
  assert.deepEqual([again.body.data, again.body.rev, again.body.created_at], ['x', 2, created_at]);
  assert.equal((await get({ key: 'user.name' }, headers)).body.data, 'x');

  const removed = await remove({ key: 'user.name' }, headers);
  assert.deepEqual([removed.status, removed.text, removed.headers.get('perdure-memory-rev')], [204, '', '3']);
  const missing = await get({ key: 'user.name' }, headers);
  assert.equal(missing.status, 404);
  const problem = problemDetails.strict().parse(missing.body);
  assert.deepEqual(
    [problem.code, problem.message, problem.error],
    ['memory_not_found', problem.detail, problem.detail],
  );
  const unchanged = await remove({ key: 'user.name' }, headers);
  assert.deepEqual([unchanged.status, unchanged.headers.get('perdure-memory-rev')], [204, null]);
  assert.equal((await remove({ key: 'x' }, fresh().headers)).status, 204, 'there never was such a memory');
});

test('any JSON can be remembered', async () => {
  const { headers } = fresh();
  for (const data of [null, false, 0, '', '5', [], {}, [[[]]], { 'a/b': { '~': 1 } }, 1e-7, 'x'.repeat(10_000)]) {
    assert.equal((await set({ key: 'k', data }, headers)).status, 200, JSON.stringify(data).slice(0, 50));
    assert.deepEqual((await get({ key: 'k' }, headers)).body.data, data);
  }
});

test('without a scope it is the narrowest there is that is written, and each that is looked through', async () => {
  const [workflow, session, actor] = [randomUUID(), randomUUID(), randomUUID()];
  const key = `k-${randomUUID()}`;
  const all = { 'x-workflow-id': workflow, 'x-session-id': session, 'x-actor-id': actor };
  const { 'x-workflow-id': _, ...noWorkflow } = all;
  const { 'x-session-id': __, ...onlyActor } = noWorkflow;
  assert.equal((await set({ key, data: 'global' })).body.scope, 'global');
  assert.equal(dataOf(await get({ key }, all)), 'global');
  assert.equal((await set({ key, data: 'actor' }, onlyActor)).body.scope, 'actor');
  assert.equal(dataOf(await get({ key }, all)), 'actor');
  assert.equal((await set({ key, data: 'session' }, noWorkflow)).body.scope, 'session');
  assert.equal(dataOf(await get({ key }, all)), 'session');
  assert.equal((await set({ key, data: 'workflow' }, all)).body.scope, 'workflow');
  assert.equal(dataOf(await get({ key }, all)), 'workflow');
  assert.equal(dataOf(await get({ key }, { ...all, 'x-workflow-id': randomUUID() })), 'session');
  assert.equal(dataOf(await get({ key }, { 'x-run-id': workflow })), 'workflow', 'a run is a workflow');

  for (const scope of ['workflow', 'session', 'actor', 'global'])
    assert.equal(dataOf(await get({ key, scope }, all)), scope);
  assert.equal(dataOf(await get({ key, scope: 'session', scope_id: session })), 'session');
  await remove({ key }, all);
  assert.equal(dataOf(await get({ key }, all)), 'session', 'only the narrowest was deleted');
  await remove({ key, scope: 'session' }, all);
  assert.equal(dataOf(await get({ key }, all)), 'actor');
  assert.equal(dataOf(await get({ key, scope: 'session' }, all)), 404, 'a scope that is named is the only one');
});

test('a list has all values of one scope', async () => {
  const { id, headers } = fresh();
  const list = async (query: string, more: Headers = headers) =>
    (await system.get(`${MEMORY}/list?${query}`, more)).body;
  assert.deepEqual(await list('scope=session'), []);
  const values = [];
  for (const key of ['b', 'a', '1']) values.push((await set({ key, data: { key } }, headers)).body);
  const listed = await list('scope=session');
  memoryList.parse(listed);
  const byKey = (items: Body[]) => items.toSorted((one, other) => one.rev - other.rev);
  assert.deepEqual(byKey(listed), values);
  assert.deepEqual(await list(`scope=session&scope_id=${id}`, {}), listed);
  await remove({ key: 'a' }, headers);
  assert.deepEqual(
    byKey(await list('scope=session')).map(({ key }) => key),
    ['b', '1'],
  );
  assert.equal((await list('')).code, 'invalid_request');
  assert.equal((await list('scope=actor')).code, 'invalid_header');
});

test('keys may have any characters but one name', async () => {
  const { headers } = fresh();
  const keys = ['/', '~', '~1', '~0', 'a/b', '', ' ', 'constructor', 'toString', 'hasOwnProperty', '😀', '"', '-', '0'];
  const taken = keys.filter((key) => key !== '');
  for (const key of taken) assert.equal((await set({ key, data: key }, headers)).status, 200, key);
  for (const key of taken) assert.equal(dataOf(await get({ key }, headers)), key);
  const { body } = await system.get(`${MEMORY}/list?scope=session`, headers);
  assert.deepEqual(new Set(body.map(({ key }: Body) => key)), new Set(taken));
  for (const key of taken) await remove({ key }, headers);
  assert.deepEqual((await system.get(`${MEMORY}/list?scope=session`, headers)).body, []);
  for (const key of ['', '__proto__', 'x'.repeat(513), 'a\0b', '\ud800', 5, null, undefined]) {
    const { status, body: problem } = await set({ key, data: 1 }, headers);
    assert.equal(status, 400, String(key).slice(0, 20));
    assert.deepEqual([problem.code, problem.message], ['invalid_request', problem.detail]);
  }
  for (const key of ['constructor', '__proto__', 'toString'])
    assert.ok([404, 400].includes((await get({ key }, headers)).status), key);
});

test('what is flawed is refused', async () => {
  const { headers } = fresh();
  const flawed: [string, string | object, Headers][] = [
    ['invalid_request', { key: 'k' }, headers],
    ['invalid_request', { data: 1 }, headers],
    ['invalid_request', { key: 'k', data: 1, scope: 'reasoner' }, headers],
    ['invalid_request', '{"key":"k","data":{"__proto__":1}}', headers],
    ['invalid_request', '{"key":"k","data":1e400}', headers],
    ['invalid_request', `{"key":"k","data":${'['.repeat(120)}${']'.repeat(120)}}`, headers],
    ['invalid_request', `{"key":"k","data":${'['.repeat(99)}1${']'.repeat(99)}}`, headers],
    ['malformed_json', '', headers],
    ['malformed_json', 'x', headers],
    ['invalid_request', '[]', headers],
    ['invalid_header', { key: 'k', data: 1 }, { 'x-session-id': 'a b' }],
    ['invalid_header', { key: 'k', data: 1, scope: 'session' }, {}],
    ['invalid_request', { key: 'k', data: 1, scope: 'session', scope_id: 'ü' }, {}],
  ];
  for (const [code, body, more] of flawed) {
    const { status, body: problem } = await set(body, more);
    assert.deepEqual(
      [status, problem?.code, problem?.message],
      [400, code, problem?.detail],
      JSON.stringify(body).slice(0, 80),
    );
  }
  assert.deepEqual((await system.get(`${MEMORY}/list?scope=session`, headers)).body, []);
  for (const path of ['vector/set', 'vector/search', 'vector/delete', 'vector']) {
    const { status, body, headers: answered } = await system.post(`${MEMORY}/${path}`, { key: 'k', embedding: [1] });
    assert.deepEqual([status, body.code, body.message], [501, 'not_implemented', body.error]);
    assert.match(answered.get('content-type') ?? '', /problem\+json/);
  }
});

test('twenty writers at once: each is told what it wrote, and the last one of history is what is there', async () => {
  const { headers } = fresh();
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => set({ key: 'k', data: i }, headers)));
  for (const [i, { status, body }] of answers.entries()) assert.deepEqual([status, body.data], [200, i]);
  const revs = answers.map(({ body }) => body.rev as number);
  assert.deepEqual(
    revs.toSorted((a, b) => a - b),
    Array.from({ length: 20 }, (_, i) => i + 1),
  );
  const last = answers.find(({ body }) => body.rev === 20);
  assert.deepEqual((await get({ key: 'k' }, headers)).body, last?.body);
});

test('too large a value is refused, and so is one for which the memory has no room: nothing changes', async () => {
  const { headers } = fresh();
  const large = 'x'.repeat(256 * 1024 - 2);
  const tooLarge = await set({ key: 'k', data: `${large}y` }, headers);
  assert.deepEqual([tooLarge.status, tooLarge.body.code], [413, 'memory_value_too_large']);
  assert.equal((await set({ key: 'k', data: '€'.repeat(90_000) }, headers)).status, 413, 'bytes count');
  for (const key of ['a', 'b', 'c']) assert.equal((await set({ key, data: large }, headers)).status, 200);
  const full = await set({ key: 'd', data: large }, headers);
  assert.deepEqual([full.status, full.body.code], [409, 'memory_full']);
  assert.equal(dataOf(await get({ key: 'd' }, headers)), 404);
  assert.equal(
    (await set({ key: 'a', data: `${large.slice(1)}z` }, headers)).status,
    200,
    'what takes its place has room',
  );
  const rest = await set({ key: 'd', data: large.slice(1000) }, headers);
  assert.deepEqual([rest.status, rest.body.rev], [200, 5]);
  await remove({ key: 'b' }, headers);
  assert.equal((await set({ key: 'b', data: large }, headers)).status, 200, 'what was deleted makes room');
  assert.equal((await set({ key: 'e', data: large }, headers)).status, 409);
});

test('of writers who race for the last room one gets it, the others are told so', async () => {
  const { headers } = fresh();
  const large = 'x'.repeat(250 * 1024);
  for (const key of ['a', 'b', 'c']) await set({ key, data: large }, headers);
  const answers = await Promise.all(['d', 'e', 'f', 'g'].map((key) => set({ key, data: large }, headers)));
  assert.deepEqual(
    answers.map(({ status }) => status).toSorted((a, b) => a - b),
    [200, 409, 409, 409],
  );
  const { body } = await system.get(`${MEMORY}/list?scope=session`, headers);
  assert.equal(body.length, 4);
});

test('reading needs no worker, nor does writing; what was written is there after one has come back', async (t) => {
  const own = await startSystem(t, { agentNodes: {}, withWorker: false });
  const { id, headers } = fresh();
  assert.equal((await set({ key: 'k', data: 1 }, headers, own)).status, 200);
  assert.equal(dataOf(await get({ key: 'k' }, headers, own)), 1);
  await own.startWorker();
  assert.equal((await set({ key: 'k', data: 2 }, headers, own)).status, 200);
  await own.stopWorker();
  await set({ key: 'l', data: 3 }, headers, own);
  await own.startWorker();
  for (const data of [4, 5, 6]) await set({ key: 'k', data }, headers, own);
  // A workflow that no longer fits its history would have a failed task.
  for (;;) {
    const events = await eventsOf('session', id, own);
    assert.ok(!events.some((event) => event.workflowTaskFailedEventAttributes));
    if (events.at(-1)?.workflowTaskCompletedEventAttributes) break;
  }
  assert.equal(dataOf(await get({ key: 'k' }, headers, own)), 6);
  assert.equal(dataOf(await get({ key: 'l' }, headers, own)), 3);
});

test('a memory goes on in another run before its history is long, and nobody notices', async (t) => {
  const own = await startSystem(t, { agentNodes: {}, policy: { maxRunEvents: 20 } });
  const { id, headers } = fresh();
  const handle = own.client.workflow.getHandle(workflowIdOf('session', id, own));
  const runs = new Set<string>();
  for (let round = 0; round < 15; round++) {
    const answers = await Promise.all(
      [0, 1, 2].map(async (i) => {
        const answer = await set({ key: `k${i}`, data: [round, i] }, headers, own);
        assert.deepEqual(dataOf(await get({ key: `k${i}` }, headers, own)), [round, i], 'it reads what it wrote');
        return answer;
      }),
    );
    const revs = answers.map(({ body }) => body.rev as number).toSorted((a, b) => a - b);
    assert.deepEqual(revs, [3 * round + 1, 3 * round + 2, 3 * round + 3]);
    runs.add((await handle.describe()).runId);
  }
  assert.ok(runs.size > 1, 'it went on in another run');
  assert.ok((await eventsOf('session', id, own)).length < 60);
  for (const i of [0, 1, 2]) assert.deepEqual(dataOf(await get({ key: `k${i}` }, headers, own)), [14, i]);
  // As a process that has never heard of it sees it.
  const other = await startSystem(t, { agentNodes: {}, withWorker: false, taskQueue: own.taskQueue });
  assert.deepEqual(dataOf(await get({ key: 'k2' }, headers, other)), [14, 2]);
});

test('two API processes see what the other one has written', async (t) => {
  const other = await startSystem(t, { agentNodes: {}, withWorker: false, taskQueue: system.taskQueue });
  const { headers } = fresh();
  assert.equal(dataOf(await get({ key: 'k' }, headers, other)), 404);
  for (let i = 1; i <= 10; i++) {
    const [writer, reader] = i % 2 === 0 ? [system, other] : [other, system];
    const { body } = await set({ key: 'k', data: i }, headers, writer);
    assert.equal(body.rev, i);
    // It is told by long poll, which takes a moment.
    while (dataOf(await get({ key: 'k' }, headers, reader)) !== i);
  }
});

test('memory of a run that nobody has written to for long is forgotten, and can begin anew', async () => {
  const workflow = randomUUID();
  const headers = { 'x-workflow-id': workflow };
  const handle = await system.client.workflow.start('agentMemory', {
    workflowId: workflowIdOf('workflow', workflow),
    taskQueue: system.taskQueue,
    args: [{ scope: 'workflow', scopeId: workflow, forgetAfterMs: 1_500 }],
  });
  await set({ key: 'k', data: 1 }, headers);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  await set({ key: 'l', data: 2 }, headers);
  await handle.result();
  const events = await eventsOf('workflow', workflow);
  assert.equal(events.filter((event) => event.timerStartedEventAttributes).length, 2, 'the second write put it off');
  while (dataOf(await get({ key: 'k' }, headers)) !== 404);
  const { status, body } = await set({ key: 'l', data: 3 }, headers);
  assert.deepEqual([status, body.rev], [200, 1]);
  assert.equal(dataOf(await get({ key: 'k' }, headers)), 404);
});
