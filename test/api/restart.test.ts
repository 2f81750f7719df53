import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { restartAnswer } from '../../api/restart-schemas.ts';
import { execution } from '../../api/schemas.ts';
import { acceptingAgent, isCallOf } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer, sendJson, webhookReceiver } from '../support/http-server.ts';
import type { TestServer } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

const shared = sharedContext();
let agent: AcceptingAgent;
let echo: TestServer;
let system: System;
let calls = 0;
before(async () => {
  agent = await acceptingAgent(shared);
  echo = await httpServer(shared, (request, response) => {
    const input = JSON.parse(request.body) as Body;
    if (input.fails) return sendJson(response, 422, { error: 'told to fail' });
    sendJson(response, 200, { call: (calls += 1), input });
  });
  system = await startSystem(shared, { agentNodes: { a: agent.url, e: echo.url } });
});
after(shared.close);

const child = (run: string, parent: string) => ({ 'x-run-id': run, 'x-parent-execution-id': parent });

async function start(target: string, body: unknown = {}, headers: Record<string, string> = {}): Promise<Body> {
  const { status, body: answer, text } = await system.post(`/api/v1/execute/async/${target}`, body, headers);
  assert.equal(status, 202, text);
  return answer;
}

async function restart(id: string, body: unknown = {}, headers: Record<string, string> = {}): Promise<Body> {
  const { status, body: answer, text } = await system.post(`/api/v1/executions/${id}/restart`, body, headers);
  assert.equal(status, 202, text);
  return restartAnswer.strict().parse(answer);
}

const callsOf = (id: string) => echo.received.filter(isCallOf(id)).length;

test('the same again is a new execution of a new run, linked both ways', async () => {
  const { execution_id: id, run_id: run } = await start('e.x', { input: { a: 1 }, context: { tenant: 't' } });
  await system.end(id);
  const again = await restart(id, { reason: 'once more' });
  assert.notEqual(again.execution_id, id);
  assert.notEqual(again.run_id, run);
  assert.deepEqual([again.source_execution_id, again.source_run_id, again.restarted_execution_id], [id, run, id]);
  assert.deepEqual([again.replay_mode, again.scope, again.kind], ['none', 'workflow', 'restart']);
  const view = await system.end(again.execution_id);
  assert.deepEqual(view.result.input, { a: 1 });
  assert.deepEqual(view.restart_of, { execution_id: id, run_id: run, reason: 'once more' });
  execution.strict().parse(view);
  const other = await restart(id, { input: { b: 2 }, fork: true });
  assert.equal(other.kind, 'fork');
  assert.deepEqual((await system.end(other.execution_id)).result.input, { b: 2 });
  const { body } = await system.get(`/api/v1/executions/${id}/restarts`);
  assert.deepEqual(
    body.restarts.map(({ execution_id }: Body) => execution_id),
    [again.execution_id, other.execution_id],
  );
  const third = await restart(again.execution_id);
  assert.equal((await system.end(third.execution_id)).restart_of.execution_id, again.execution_id);
});

test('an execution whose webhook was sent again has its input still', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const { execution_id: id } = await start('e.x', { input: { kept: true }, webhook: { url: receiver.url } });
  await receiver.waitFor(1);
  await system.client.workflow.getHandle(id).result();
  assert.equal((await system.post(`/api/v1/executions/${id}/webhook/redeliver`)).status, 202);
  await receiver.waitFor(2);
  const again = await restart(id);
  assert.deepEqual((await system.end(again.execution_id)).result.input, { kept: true });
  assert.equal((await system.end(again.execution_id)).webhook_registered, false, 'a webhook is for one execution');
});

test('what has not ended is not restarted', async () => {
  const { execution_id: id } = await start('a.x');
  const { status, body } = await system.post(`/api/v1/executions/${id}/restart`);
  assert.deepEqual([status, body.code], [409, 'execution_not_finished']);
  assert.equal((await system.post(`/api/v1/executions/exec_${'0'.repeat(32)}/restart`)).status, 404);
  assert.equal((await system.get(`/api/v1/executions/exec_${'0'.repeat(32)}/restarts`)).status, 404);
  await agent.report(id, { status: 'succeeded' });
  await system.end(id);
  for (const bad of [{ from: 'middle' }, { reuse: 'some' }, { inpt: {} }, { scope: 'all' }])
    assert.equal((await system.post(`/api/v1/executions/${id}/restart`, bad)).status, 400);
  assert.deepEqual((await system.get(`/api/v1/executions/${id}/restarts`)).body.restarts, []);
});

test('from its checkpoint the agent goes on where the one before left off', async () => {
  const { execution_id: id } = await start('a.x', { input: { pages: 9 } });
  await agent.callbackUrl(id);
  assert.equal((await system.post(`/api/v1/executions/${id}/restart`)).status, 409);
  await system.post(`/api/v1/executions/${id}/events`, { type: 'checkpoint', data: { page: 6 } });
  await agent.report(id, { status: 'failed', error: 'out of paper' });
  await system.end(id);
  const again = await restart(id, { from: 'checkpoint' });
  const [call] = await agent.waitFor(1, isCallOf(again.execution_id));
  const body = JSON.parse(call?.body ?? '{}') as Body;
  assert.deepEqual([body.input, body.turn, body.checkpoint], [{ pages: 9 }, 1, { page: 6 }]);
  await agent.report(again.execution_id, { status: 'succeeded', result: 'done' });
  const view = await system.end(again.execution_id);
  assert.equal(view.result, 'done');
  const asked = await system.get(`/api/v1/executions/${again.execution_id}`, { 'cache-control': 'no-cache' });
  assert.deepEqual(asked.body, view, 'the workflow and its readers agree');
  const fresh = await restart(id);
  const [first] = await agent.waitFor(1, isCallOf(fresh.execution_id));
  assert.deepEqual(JSON.parse(first?.body ?? '{}'), { pages: 9 }, 'from the start it gets the bare input');
});

test('without a checkpoint there is nothing to go on from', async () => {
  const { execution_id: id } = await start('e.x');
  await system.end(id);
  const { status, body } = await system.post(`/api/v1/executions/${id}/restart`, { from: 'checkpoint' });
  assert.deepEqual([status, body.code], [409, 'no_checkpoint']);
});

/** A root with three calls: two succeed, of which one before the other, one fails. */
async function runOfThree(): Promise<{ root: Body; good: Body; bad: Body; late: Body }> {
  const root = await start('a.x', { input: { goal: randomUUID() } });
  const headers = child(root.run_id, root.execution_id);
  const good = await start('e.search', { input: { q: 1, deep: { b: 2, a: 1 } } }, headers);
  await system.end(good.execution_id);
  const bad = await start('e.search', { input: { fails: true } }, headers);
  await system.end(bad.execution_id);
  const late = await start('e.search', { input: { q: 3 } }, headers);
  await system.end(late.execution_id);
  await agent.report(root.execution_id, { status: 'failed', error: 'a step failed' });
  await system.end(root.execution_id);
  return { root, good, bad, late };
}

test('results of calls that had succeeded are reused, by target and what the input means', async () => {
  const { root, good, bad } = await runOfThree();
  const again = await restart(root.execution_id, { reuse: 'succeeded' });
  const headers = child(again.run_id, again.execution_id);
  const receivedBefore = echo.received.length;
  const same = await start('e.search', { input: { deep: { a: 1, b: 2 }, q: 1 } }, headers);
  const view = await system.end(same.execution_id);
  assert.equal(view.status, 'succeeded');
  assert.equal(view.reused_from, good.execution_id);
  assert.deepEqual(view.result, (await system.end(good.execution_id)).result);
  assert.equal(echo.received.length, receivedBefore, 'no agent was called');
  const { events } = await system.client.workflow.getHandle(same.execution_id).fetchHistory();
  assert.equal(events?.length, 5);
  const asked = await system.get(`/api/v1/executions/${same.execution_id}`, { 'cache-control': 'no-cache' });
  assert.deepEqual(asked.body, view);
  // Others are called: another target, another input, another context, one that had failed.
  for (const [target, body] of [
    ['e.other', { input: { q: 1, deep: { b: 2, a: 1 } } }],
    ['e.search', { input: { q: 2 } }],
    ['e.search', { input: { q: 1, deep: { b: 2, a: 1 } }, context: { c: 1 } }],
    ['e.search', { input: { fails: true } }],
  ] as const) {
    const { execution_id: id } = await start(target, body, headers);
    const called = await system.end(id);
    assert.equal(called.reused_from, undefined);
    assert.equal(callsOf(id), 1);
  }
  const tree = (await system.get(`/api/v1/runs/${again.run_id}`)).body;
  assert.equal(tree.total_executions, 6);
  assert.equal(tree.nodes[0].execution_id, again.execution_id);
  assert.equal((await system.end(bad.execution_id)).status, 'failed');
});

test('a synchronous call that is reused is answered at once, and its webhook is sent', async (t) => {
  const { root, late } = await runOfThree();
  const receiver = await webhookReceiver(t, 204);
  const again = await restart(root.execution_id, { reuse: 'all-succeeded' });
  const headers = child(again.run_id, again.execution_id);
  const body = { input: { q: 3 }, webhook: { url: receiver.url } };
  const answer = await system.post('/api/v1/execute/e.search', body, headers);
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.body.result, (await system.end(late.execution_id)).result);
  const [delivery] = await receiver.waitFor(1);
  assert.equal(JSON.parse(delivery?.body ?? '{}').execution_id, answer.body.execution_id);
});

test('a call restarts the root of its run, with what had succeeded before it; or itself alone', async () => {
  const { root, good, bad } = await runOfThree();
  const again = await restart(bad.execution_id, { reuse: 'succeeded-before' });
  assert.equal(again.restarted_execution_id, root.execution_id);
  assert.equal(again.target, 'a.x');
  const headers = child(again.run_id, again.execution_id);
  const before = await start('e.search', { input: { q: 1, deep: { a: 1, b: 2 } } }, headers);
  assert.equal((await system.end(before.execution_id)).reused_from, good.execution_id);
  const after = await start('e.search', { input: { q: 3 } }, headers);
  assert.equal((await system.end(after.execution_id)).reused_from, undefined);
  const alone = await restart(bad.execution_id, { scope: 'execution', input: { fine: true } });
  assert.equal(alone.restarted_execution_id, bad.execution_id);
  assert.deepEqual((await system.end(alone.execution_id)).result.input, { fine: true });
});

test('without being asked to, nothing is reused', async () => {
  const { root } = await runOfThree();
  const again = await restart(root.execution_id);
  const { execution_id: id } = await start('e.search', { input: { q: 3 } }, child(again.run_id, again.execution_id));
  assert.equal((await system.end(id)).reused_from, undefined);
});

test('the same restart again, with its key, is the same execution; another one is refused', async () => {
  const { execution_id: id } = await start('e.x');
  await system.end(id);
  const headers = { 'idempotency-key': randomUUID() };
  const first = await restart(id, { reason: 'r' }, headers);
  assert.equal((await restart(id, { reason: 'r' }, headers)).execution_id, first.execution_id);
  const other = await system.post(`/api/v1/executions/${id}/restart`, { reason: 's' }, headers);
  assert.deepEqual([other.status, other.body.code], [422, 'idempotency_key_reused']);
  assert.equal((await system.get(`/api/v1/executions/${id}/restarts`)).body.restarts.length, 1);
});
