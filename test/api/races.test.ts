import assert from 'node:assert/strict';
import { test } from 'node:test';
import { executionIdOfKey } from '../../api/ids.ts';
import { acceptingAgent, isCallOf } from '../support/agents.ts';
import { httpServer } from '../support/http-server.ts';
import { startSystem } from '../support/system.ts';

test('a callback taken before any worker saw the execution decides it, whatever came after', async (t) => {
  const agent = await acceptingAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url }, withWorker: false });
  const submit = async (body = {}) => String((await system.post('/api/v1/execute/async/a.x', body)).body.execution_id);
  const callBack = async (id: string) => {
    const { status } = await system.post(`/api/v1/executions/${id}/status`, { status: 'succeeded', result: id });
    assert.equal(status, 200);
  };
  const alone = await submit();
  const cancelled = await submit();
  const late = await submit({ timeout_ms: 1 });
  for (const id of [alone, cancelled, late]) await callBack(id);
  assert.equal((await system.post(`/api/v1/executions/${cancelled}/cancel`)).status, 202);

  await system.startWorker();
  for (const id of [alone, cancelled, late]) {
    const view = await system.end(id);
    assert.deepEqual([view.status, view.result, view.started_at, view.sequence], ['succeeded', id, null, 2]);
    const { body } = await system.get(`/api/v1/executions/${id}`, { 'Cache-Control': 'no-cache' });
    assert.deepEqual(body, view, 'the workflow and its history say the same');
    assert.equal(agent.received.filter(isCallOf(id)).length, 0);
  }
});

test('a callback taken while no worker was there decides, also against a cancel, in the words of the agent', async (t) => {
  const agent = await acceptingAgent(t);
  const silent = await httpServer(t, () => undefined);
  const system = await startSystem(t, { agentNodes: { a: agent.url, silent: silent.url } });
  const submit = async (target: string) =>
    String((await system.post(`/api/v1/execute/async/${target}`)).body.execution_id);
  const [working, gone] = [await submit('silent.x'), await submit('a.x')];
  await silent.waitFor(1, isCallOf(working));
  await agent.waitFor(1, isCallOf(gone));
  await system.stopWorker();
  const endings = [
    [working, { status: 'succeeded', result: 1 }],
    [gone, { status: 'cancelled', error: 'nobody home' }],
  ] as const;
  for (const [id, ending] of endings) {
    assert.equal((await system.post(`/api/v1/executions/${id}/status`, ending)).status, 200);
    assert.equal((await system.post(`/api/v1/executions/${id}/cancel`, { reason: 'late' })).status, 202);
  }
  await system.startWorker();
  assert.equal((await system.end(working)).status, 'succeeded');
  const view = await system.end(gone);
  assert.deepEqual([view.status, view.error], ['cancelled', 'nobody home']);
});

test('a sync call without a worker is not told timeout once its agent or a canceller has spoken', async (t) => {
  const agent = await acceptingAgent(t);
  const limits = { syncLimitMs: 500 };
  const system = await startSystem(t, { agentNodes: { a: agent.url }, limits, withWorker: false });
  const meanwhile = [
    ['succeeded', 'status', { status: 'succeeded', result: 1 }],
    ['cancelled', 'cancel', {}],
    ['cancelled', 'cancel', { reason: 'r' }],
  ] as const;
  const calls = meanwhile.map(async ([end, said, body], index) => {
    const key = `key-${system.taskQueue}-${index}`;
    const id = executionIdOfKey(key);
    const answer = system.post('/api/v1/execute/a.x', {}, { 'Idempotency-Key': key });
    while ((await system.get(`/api/v1/executions/${id}`)).status === 404);
    const { status } = await system.post(`/api/v1/executions/${id}/${said}`, body);
    assert.ok(status === 200 || status === 202, `${said}: ${status}`);
    return { end, id, ...(await answer) };
  });
  const answers = await Promise.all(calls);
  for (const { end, id, status, headers } of answers) {
    assert.equal(status, 202, end);
    assert.equal(headers.get('Location'), `/api/v1/executions/${id}`);
  }
  await system.startWorker();
  for (const { end, id } of answers) assert.equal((await system.end(id)).status, end);
});
