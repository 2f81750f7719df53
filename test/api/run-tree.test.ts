import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { executionIdOfKey } from '../../api/ids.ts';
import { runList, runTree } from '../../api/run-schemas.ts';
import { placesOf } from '../../runs/tree.ts';
import { rosterId } from '../../workflows/run-contract.ts';
import { acceptingAgent } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
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

const newRun = () => `run of ${randomUUID()}`.replaceAll(' ', '-');
const treeOf = async (run: string, query = ''): Promise<Body> => {
  const { status, body, text } = await system.get(`/api/v1/runs/${run}${query}`);
  assert.equal(status, 200, text);
  return runTree.strict().parse(body);
};

function submit(headers: Record<string, string>, body: unknown = {}): Promise<Answered> {
  return system.post('/api/v1/execute/async/a.x', body, headers);
}

async function start(headers: Record<string, string>): Promise<{ id: string; run: string }> {
  const { status, body, text } = await submit(headers);
  assert.equal(status, 202, text);
  return { id: body.execution_id, run: body.run_id };
}

const child = (run: string, parent: string) => ({ 'x-run-id': run, 'x-parent-execution-id': parent });
const summary = ({ nodes }: Body) =>
  nodes.map((node: Body) => [node.execution_id, node.parent_execution_id, node.depth, node.is_root]);

test('a tree has every execution as soon as its submit was answered', async () => {
  for (let round = 0; round < 10; round++) {
    const { id: root, run } = await start({});
    assert.deepEqual(summary(await treeOf(run)), [[root, null, 0, true]]);
    const { id: first } = await start(child(run, root));
    assert.deepEqual(summary(await treeOf(run)).at(-1), [first, root, 1, false]);
    const { id: second } = await start(child(run, first));
    assert.deepEqual(summary(await treeOf(run)), [
      [root, null, 0, true],
      [first, root, 1, false],
      [second, first, 2, false],
    ]);
  }
});

test('another API process has the same tree at once', async (t) => {
  const other = await anotherApi(t, system);
  for (let round = 0; round < 10; round++) {
    const { id: root, run } = await start({});
    const { id } = await start(child(run, root));
    const { body } = await other.get(`/api/v1/runs/${run}`);
    assert.deepEqual(summary(body), [
      [root, null, 0, true],
      [id, root, 1, false],
    ]);
  }
});

test('statuses, counts, totals and times are those of the executions', async () => {
  const { id: root, run } = await start({});
  const { id: good } = await start(child(run, root));
  const { id: bad } = await start(child(run, root));
  for (const id of [root, good, bad]) await system.running(id);
  const open = await treeOf(run);
  assert.equal(open.status, 'running');
  assert.equal(open.counts.running, 3);
  assert.equal(open.completed_at, null);
  const usage = { type: 'usage', input_tokens: 10, output_tokens: 5, cost_usd: 0.5 };
  for (const id of [root, good]) await system.post(`/api/v1/executions/${id}/events`, usage);
  await agent.report(good, { status: 'succeeded', result: 1 });
  await agent.report(bad, { status: 'failed', error: 'no luck' });
  await agent.report(root, { status: 'succeeded', result: 2 });
  const views = await Promise.all([root, good, bad].map(system.end));
  const done = await treeOf(run);
  assert.equal(done.status, 'succeeded', 'its root got over the failure of a child');
  assert.deepEqual([done.counts.succeeded, done.counts.failed, done.counts.running], [2, 1, 0]);
  assert.deepEqual(done.totals.usage, { input_tokens: 20, output_tokens: 10, cost_usd: 1 });
  assert.equal(
    done.totals.duration_ms,
    views.reduce((sum, { duration_ms }) => sum + (duration_ms as number), 0),
  );
  assert.equal(done.started_at, views[0].created_at);
  assert.equal(
    done.completed_at,
    views
      .map(({ completed_at }) => completed_at as string)
      .toSorted()
      .at(-1),
  );
  const shown = (node: Body) => [node.status, node.error, node.started_at, node.completed_at, node.duration_ms];
  assert.deepEqual(done.nodes.map(shown), views.map(shown));
});

test('a run whose root failed has failed', async () => {
  const { id, run } = await start({});
  await agent.report(id, { status: 'failed', error: 'no' });
  await system.end(id);
  assert.equal((await treeOf(run)).status, 'failed');
});

test('who names a parent that does not exist is a root', async () => {
  const run = newRun();
  const { id } = await start(child(run, 'exec_made-up-by-an-sdk'));
  const tree = await treeOf(run);
  assert.deepEqual(summary(tree), [[id, 'exec_made-up-by-an-sdk', 0, true]]);
  assert.equal(tree.nodes[0].breaks_cycle, false);
});

test('parents that lead round in a circle are broken where they began', async () => {
  const run = newRun();
  // The ids of executions with a key are known beforehand: only so can a circle come about.
  const submitAs = (key: string, parent: string) => submit({ ...child(run, parent), 'idempotency-key': key });
  const keys = ['one', 'two', 'three'].map((name) => `${run} ${name}`);
  const [one = '', two = '', three = ''] = keys.map(executionIdOfKey);
  await submitAs(keys[0] ?? '', three);
  await submitAs(keys[1] ?? '', one);
  await submitAs(keys[2] ?? '', two);
  const tree = await treeOf(run);
  assert.deepEqual(summary(tree), [
    [one, three, 0, true],
    [two, one, 1, false],
    [three, two, 2, false],
  ]);
  assert.deepEqual(
    tree.nodes.map(({ breaks_cycle }: Body) => breaks_cycle),
    [true, false, false],
  );
});

test('places: any shape, however deep, each member once', () => {
  const chain = Array.from({ length: 10_000 }, (_, i) => ({ executionId: `${i}`, parentExecutionId: `${i - 1}` }));
  assert.equal(placesOf(chain).at(-1)?.depth, 9_999);
  assert.equal(placesOf(chain.toReversed())[0]?.depth, 9_999);
  const own = { executionId: 'a', parentExecutionId: 'a' };
  assert.deepEqual(placesOf([own]), [{ ...own, depth: 0, breaksCycle: true }]);
  const lasso = placesOf([
    { executionId: 'tail', parentExecutionId: 'b' },
    { executionId: 'a', parentExecutionId: 'b' },
    { executionId: 'b', parentExecutionId: 'a' },
  ]);
  assert.deepEqual(
    lasso.map(({ depth, breaksCycle }) => [depth, breaksCycle]),
    [
      [2, false],
      [0, true],
      [1, false],
    ],
  );
});

test('a tree comes in pages, whose counts are those of the whole', async () => {
  const run = newRun();
  const ids: string[] = [];
  for (let i = 0; i < 5; i++) ids.push((await start({ 'x-run-id': run })).id);
  const seen: string[] = [];
  for (let cursor: string | null = '0'; cursor !== null;) {
    const page = await treeOf(run, `?limit=2&cursor=${cursor}`);
    assert.equal(page.total_executions, 5);
    assert.ok(page.nodes.length <= 2);
    seen.push(...page.nodes.map(({ execution_id }: Body) => execution_id));
    cursor = page.next_cursor;
  }
  assert.deepEqual(seen, ids);
  for (const query of ['cursor=x', 'cursor=6', 'limit=0', 'limit=501', 'depth=1'])
    assert.equal((await system.get(`/api/v1/runs/${run}?${query}`)).status, 400, query);
});

test('of a run of more than a thousand there are pages, and no sums', async () => {
  const run = newRun();
  const { id } = await start({ 'x-run-id': run });
  const handle = system.client.workflow.getHandle(rosterId(run, system.taskQueue));
  // Written down, and never started: their API process died.
  await Promise.all(
    Array.from({ length: 1_000 }, (_, i) => handle.signal('member', { executionId: `exec_${i}-never` })),
  );
  const page = await treeOf(run, '?limit=1');
  assert.equal(page.total_executions, 1_001);
  assert.deepEqual([page.counts, page.totals, page.status], [null, null, null]);
  assert.deepEqual(
    page.nodes.map(({ execution_id }: Body) => execution_id),
    [id],
  );
});

test('what was written down and never started is nobody', async () => {
  const run = newRun();
  const { id } = await start({ 'x-run-id': run });
  await system.client.workflow
    .getHandle(rosterId(run, system.taskQueue))
    .signal('member', { executionId: 'exec_never-started', parentExecutionId: id });
  const tree = await treeOf(run);
  assert.deepEqual(summary(tree), [[id, null, 0, true]]);
  assert.equal(tree.total_executions, 1);
});

test('the same submit again is no second execution', async () => {
  const run = newRun();
  const headers = { 'x-run-id': run, 'idempotency-key': run };
  const ids = [(await start(headers)).id, (await start(headers)).id];
  assert.equal(ids[0], ids[1]);
  assert.deepEqual(summary(await treeOf(run)), [[ids[0], null, 0, true]]);
});

test('an execution alone costs no roster; one that joins costs an event, and no task', async () => {
  const { id, run } = await start({});
  const handle = system.client.workflow.getHandle(rosterId(run, system.taskQueue));
  await assert.rejects(handle.describe(), { name: 'WorkflowNotFoundError' });
  for (let joined = 0; joined < 4; joined++) await start(child(run, id));
  const { events } = await handle.fetchHistory();
  assert.equal(events?.length, 1 + 4);
  assert.equal(events?.filter((event) => event.workflowTaskScheduledEventAttributes).length, 0);
});

test('a roster whose time is over is gone on with by another one', async () => {
  const run = newRun();
  const workflowId = rosterId(run, system.taskQueue);
  const { id: first } = await start({});
  const early = await system.client.workflow.signalWithStart('runRoster', {
    workflowId,
    taskQueue: system.taskQueue,
    args: [{ runId: run }],
    startDelay: 50,
    signal: 'member',
    signalArgs: [{ executionId: first }],
  });
  await early.result();
  const { id: second } = await start(child(run, first));
  const { id: third } = await start(child(run, second));
  assert.equal((await system.client.workflow.getHandle(workflowId).describe()).status.name, 'RUNNING');
  assert.deepEqual(
    summary(await treeOf(run)).map(([id]: string[]) => id),
    [first, second, third],
  );
});

test('what was never heard of is 404', async () => {
  for (const run of ['run_nothing', `run_${'0'.repeat(32)}`, '%22'])
    assert.equal((await system.get(`/api/v1/runs/${run}`)).body.code, 'run_not_found');
});

test('runs are listed by their roots, the newest first', async () => {
  const since = new Date().toISOString();
  const { id: one, run: oneRun } = await start({});
  await start(child(oneRun, one));
  const { id: two, run: twoRun } = await start({ 'x-run-id': newRun() });
  const wanted = [
    [twoRun, two],
    [oneRun, one],
  ];
  for (;;) {
    const { body } = await system.get(`/api/v1/runs?since=${since}&limit=50`);
    const mine = runList
      .parse(body)
      .runs.filter(({ run_id }) => [oneRun, twoRun].includes(run_id))
      .map(({ run_id, root_execution_id }) => [run_id, root_execution_id]);
    if (mine.length < 2) {
      await sleep(50);
      continue;
    }
    assert.deepEqual(mine, wanted);
    return;
  }
});
