import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { runCancelAnswer } from '../../api/run-schemas.ts';
import { mapLimited } from '../../common/map-limited.ts';
import { rosterId, runIdOfRoot } from '../../workflows/run-contract.ts';
import { acceptingAgent, isCallOf, isCancelOf } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer, sendJson, webhookReceiver } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { anotherApi, startSystem } from '../support/system.ts';
import type { Answered, Body, System } from '../support/system.ts';

const shared = sharedContext();
let agent: AcceptingAgent;
let system: System;
before(async () => {
  agent = await acceptingAgent(shared);
  system = await startSystem(shared, { agentNodes: { a: agent.url } });
});
after(shared.close);

const newRun = () => `run-${randomUUID()}`;
const child = (run: string, parent: string) => ({ 'x-run-id': run, 'x-parent-execution-id': parent });

async function start(headers: Record<string, string> = {}, body: unknown = {}, at = system): Promise<Body> {
  const { status, body: answer, text } = await at.post('/api/v1/execute/async/a.x', body, headers);
  assert.equal(status, 202, text);
  return answer;
}

async function cancel(run: string, body: unknown = {}, query = '', at = system): Promise<Body> {
  const { status, body: answer, text } = await at.post(`/api/v1/runs/${run}/cancel${query}`, body);
  assert.equal(status, 202, text);
  return runCancelAnswer.strict().parse(answer);
}

test('a run of 40 three levels deep: nothing runs afterwards, one outcome and one delivery each', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const webhook = { url: receiver.url };
  const root = await start({}, { webhook });
  const run = root.run_id as string;
  const level = (parents: string[], each: number) =>
    mapLimited(
      parents.flatMap((parent) => Array.from({ length: each }, () => parent)),
      8,
      async (parent) => (await start(child(run, parent), { webhook })).execution_id as string,
    );
  const second = await level([root.execution_id], 3);
  const third = await level(second, 12);
  const ids = [root.execution_id as string, ...second, ...third];
  assert.equal(ids.length, 40);
  await Promise.all(ids.map((id) => agent.waitFor(1, isCallOf(id))));
  // Some have ended by themselves.
  const ended = third.slice(0, 4);
  for (const id of ended) await agent.report(id, { status: 'succeeded', result: id });
  await Promise.all(ended.map(system.end));

  const answer = await cancel(run, { reason: 'enough' });
  assert.equal(answer.is_reported, true);
  assert.deepEqual(
    [answer.total_nodes, answer.cancelled_count, answer.skipped_count, answer.error_count],
    [40, 36, 4, 0],
  );
  assert.deepEqual(answer.nodes.map(({ execution_id }: Body) => execution_id).toSorted(), ids.toSorted());
  const depthOf = (id: string) => (third.includes(id) ? 2 : second.includes(id) ? 1 : 0);
  const depths = answer.nodes.map(({ execution_id }: Body) => depthOf(execution_id));
  assert.deepEqual(
    depths,
    depths.toSorted((one: number, other: number) => other - one),
    'children first',
  );
  const skipped = answer.nodes.filter(({ result }: Body) => result === 'skipped');
  assert.deepEqual(skipped.map(({ execution_id }: Body) => execution_id).toSorted(), ended.toSorted());
  assert.ok(skipped.every(({ previous_status }: Body) => previous_status === 'succeeded'));

  const views = await Promise.all(ids.map(system.end));
  for (const view of views)
    assert.equal(view.status, ended.includes(view.execution_id) ? 'succeeded' : 'cancelled', view.execution_id);
  assert.equal(views[0].error, 'Execution cancelled: enough');
  await Promise.all(ids.filter((id) => !ended.includes(id)).map((id) => agent.waitFor(1, isCancelOf(id))));
  await Promise.all(
    ids.map((id) =>
      system.client.workflow
        .getHandle(id)
        .result()
        .catch(() => undefined),
    ),
  );
  const tree = (await system.get(`/api/v1/runs/${run}`)).body;
  assert.equal(tree.status, 'cancelled');
  assert.deepEqual([tree.counts.cancelled, tree.counts.succeeded], [36, 4]);
  for (const id of ids) {
    const { events } = (await system.get(`/api/v1/executions/${id}/events`, { accept: 'application/json' })).body;
    assert.equal(events.filter(({ kind }: Body) => kind === 'outcome').length, 1);
    assert.equal(receiver.received.filter(({ body }) => JSON.parse(body).execution_id === id).length, 1);
    assert.equal(agent.received.filter(isCallOf(id)).length, 1, 'called once');
  }
});

test('nobody joins a run that was cancelled, at whichever process, and the agent is told to stop', async (t) => {
  const root = await start();
  const run = root.run_id as string;
  const { execution_id: id } = await start(child(run, root.execution_id));
  await cancel(run);
  const other = await anotherApi(t, system);
  for (const at of [system, other])
    for (const headers of [child(run, id), { 'x-run-id': run }]) {
      const { status, body } = await at.post('/api/v1/execute/a.x', {}, headers);
      assert.deepEqual([status, body.code, body.control], [409, 'run_cancelled', 'cancel']);
    }
  assert.equal((await system.get(`/api/v1/runs/${run}`)).body.total_executions, 2);
  assert.equal((await system.get(`/api/v1/runs/${run}`)).body.is_cancelled, true);
});

test('an execution alone, which had no roster, is cancelled as a run, and takes no children', async () => {
  const { execution_id: id, run_id: run } = await start();
  await agent.waitFor(1, isCallOf(id));
  assert.equal((await cancel(run, { reason: 'alone' })).cancelled_count, 1);
  assert.equal((await system.end(id)).error, 'Execution cancelled: alone');
  assert.equal((await system.post('/api/v1/execute/async/a.x', {}, child(run, id))).body.code, 'run_cancelled');
});

test('who joins while a run is cancelled is refused or cancelled: nobody escapes', async (t) => {
  const other = await anotherApi(t, system);
  for (let round = 0; round < 3; round++) {
    const run = newRun();
    await start({ 'x-run-id': run });
    const joining = Array.from({ length: 30 }, async (_, i): Promise<Answered> => {
      const at = i % 2 === 0 ? system : other;
      return at.post('/api/v1/execute/async/a.x', {}, { 'x-run-id': run });
    });
    const [, ...joined] = await Promise.all([cancel(run), ...joining]);
    const accepted = joined.flatMap(({ status, body }) => (status === 202 ? [body.execution_id as string] : []));
    assert.ok(joined.every(({ status, body }) => status === 202 || body.code === 'run_cancelled'));
    for (const id of accepted) assert.equal((await system.end(id)).status, 'cancelled');
  }
});

test('who was written down and is started only after the run was cancelled is cancelled then', async () => {
  const run = newRun();
  const { execution_id: first } = await start({ 'x-run-id': run });
  const late = await start();
  // As an API process does that stands still between the two: the roster has it, Temporal not yet.
  const executionId = `exec_${randomUUID()}`;
  await system.client.workflow.getHandle(rosterId(run, system.taskQueue)).signal('member', { executionId });
  assert.equal((await cancel(run)).total_nodes, 1);
  const { events } = await system.client.workflow.getHandle(late.execution_id).fetchHistory();
  const input = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0]?.data;
  const args = [{ ...JSON.parse(Buffer.from(input ?? []).toString()), runId: run }];
  await system.client.workflow.start('executeTarget', { workflowId: executionId, taskQueue: system.taskQueue, args });
  assert.equal((await system.end(executionId)).status, 'cancelled');
  assert.equal((await system.end(first)).status, 'cancelled');
});

test('an idempotent submit of before is answered after the run was cancelled too', async () => {
  const run = newRun();
  const headers = { 'x-run-id': run, 'idempotency-key': run };
  const { execution_id: id } = await start(headers);
  await cancel(run);
  const again = await system.post('/api/v1/execute/async/a.x', {}, headers);
  assert.deepEqual([again.status, again.body.execution_id], [202, id]);
  const other = { ...headers, 'idempotency-key': `${run} other` };
  assert.equal((await system.post('/api/v1/execute/async/a.x', {}, other)).body.code, 'run_cancelled');
});

test('the grace is that of each execution, grace_ms sets it, and terminate ends it in the middle', async (t) => {
  const own = await startSystem(t, { agentNodes: { a: agent.url }, policy: { cancelGraceMs: 600_000 } });
  const root = await start({}, {}, own);
  const run = root.run_id as string;
  const { execution_id: id } = await start(child(run, root.execution_id), {}, own);
  await own.running(id);
  await cancel(run, { reason: 'please' }, '', own);
  await agent.waitFor(1, isCancelOf(id));
  await agent.waitFor(1, isCancelOf(root.execution_id));
  // The tree may be some milliseconds behind the agent.
  for (;;) {
    const { body } = await own.get(`/api/v1/runs/${run}`);
    assert.equal(body.status, 'running');
    if (body.nodes.every(({ cancelling }: Body) => cancelling)) break;
  }
  // One stops by itself, the other is cut off.
  await agent.report(id, { status: 'cancelled', partial_result: 1 });
  assert.deepEqual((await own.end(id)).partial_result, 1);
  const answer = await cancel(run, {}, '?terminate=true', own);
  assert.deepEqual([answer.cancelled_count, answer.skipped_count], [1, 1]);
  assert.equal((await own.end(root.execution_id)).error, 'Execution cancelled: please');
});

test("AgentField's cancel-tree is the same, and answers 200; again it has nobody left", async () => {
  const root = await start();
  await start(child(root.run_id, root.execution_id));
  const path = `/api/v1/workflows/${root.run_id}/cancel-tree`;
  const { status, body } = await system.post(path, { reason: 'tree' });
  assert.equal(status, 200);
  assert.deepEqual([body.total_nodes, body.cancelled_count], [2, 2]);
  await system.end(root.execution_id);
  await system.end(body.nodes[0].execution_id);
  assert.equal((await system.post(path)).body.skipped_count, 2);
});

test('without a worker it is durable, and done when one comes', async (t) => {
  const own = await startSystem(t, { agentNodes: { a: agent.url }, withWorker: false });
  const root = await start({}, {}, own);
  const answer = cancel(root.run_id, { reason: 'early' }, '', own);
  for (;;) {
    const { workflows } = {
      workflows: await own.client.workflow.count(`WorkflowId = "cancel@${own.taskQueue}_${root.run_id}"`),
    };
    if (workflows.count > 0) break;
  }
  await own.startWorker();
  assert.equal((await answer).cancelled_count, 1);
  assert.equal((await own.end(root.execution_id)).error, 'Execution cancelled: early');
  assert.equal(agent.received.filter(isCallOf(root.execution_id)).length <= 1, true);
});

test('an agent that is being called within a workflow task is not called again', async (t) => {
  const slow = await httpServer(t, (request, response) => {
    if (request.path.startsWith('/_internal/')) return sendJson(response, 200, {});
    setTimeout(() => sendJson(response, 200, { done: true }), 300);
  });
  const own = await startSystem(t, { agentNodes: { a: slow.url } });
  const root = await start({}, {}, own);
  await slow.waitFor(1);
  await cancel(root.run_id, {}, '', own);
  await own.end(root.execution_id);
  assert.equal(slow.received.filter(isCallOf(root.execution_id)).length, 1);
});

test('what was never heard of is 404, and bad bodies are 400', async () => {
  for (const run of ['run_nothing', runIdOfRoot(`exec_${'0'.repeat(32)}`), '%22'])
    assert.equal((await system.post(`/api/v1/runs/${run}/cancel`)).body.code, 'run_not_found');
  const { run_id: run } = await start();
  assert.equal((await system.post(`/api/v1/runs/${run}/cancel`, { grace_ms: -1 })).status, 400);
  assert.equal((await system.post(`/api/v1/runs/${run}/cancel?terminate=yes`)).status, 400);
  assert.equal((await system.get(`/api/v1/runs/${run}`)).body.is_cancelled, false);
});
