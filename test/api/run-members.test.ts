import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { createRunLooks, isSettled, lookAtRun } from '../../api/run-members.ts';

test('who looks at the same run within a while shares the look; another run, or later, is another look', async () => {
  const asked: string[] = [];
  const look = createRunLooks((runId) => {
    asked.push(runId);
    if (runId === 'b') return Promise.reject(new Error('Temporal is away'));
    return Promise.resolve({ begunAtMs: asked.length, executionIds: [], closedAtMs: undefined });
  }, 50);
  const [one, other] = await Promise.all([look('a'), look('a')]);
  assert.equal(one, other);
  await assert.rejects(look('b'));
  assert.equal((await look('a')).begunAtMs, 1);
  assert.deepEqual(asked, ['a', 'b']);
  await sleep(100);
  assert.equal((await look('a')).begunAtMs, 3);
});

test('a run is settled when enough time lies between its last end and the look', () => {
  const look = { begunAtMs: 10_000, executionIds: [] };
  assert.ok(isSettled({ ...look, closedAtMs: 8_000 }, 2_000));
  assert.ok(!isSettled({ ...look, closedAtMs: 8_001 }, 2_000));
  assert.ok(!isSettled({ ...look, closedAtMs: undefined }, 2_000), 'one is open');
  assert.ok(isSettled({ ...look, closedAtMs: undefined }, 2_000, 8_000), 'visibility lags, the logs do not');
  assert.ok(!isSettled({ ...look, closedAtMs: 9_000 }, 2_000, 8_001));
});

/** @param hits id, start and close as visibility has them, in any order */
function visibilityWith(hits: [id: string, startMs: number, closeMs?: number][]) {
  const queries: (string | undefined)[] = [];
  let read = 0;
  const list = async function* ({ query }: { query?: string }) {
    queries.push(query);
    for (const [workflowId, startMs, closeMs] of hits) {
      read += 1;
      const closeTime = closeMs === undefined ? undefined : new Date(closeMs);
      yield { workflowId, startTime: new Date(startMs), closeTime };
    }
  };
  const connection = { withDeadline: (_deadline: number, call: () => unknown) => call() };
  return { client: { connection, workflow: { list } } as unknown as Client, queries, read: () => read };
}

test('an execution that went on in another Temporal run is one, open as long as the newest is', async () => {
  const { client, queries } = visibilityWith([
    ['exec_b', 30],
    ['exec_a', 20, 40],
    ['exec_b', 10, 30],
    ['exec_c', 20, 35],
  ]);
  const look = await lookAtRun(client, 'run_1');
  assert.deepEqual(look.executionIds, ['exec_b', 'exec_a', 'exec_c'], 'in the order of their first starts');
  assert.equal(look.closedAtMs, undefined);
  assert.deepEqual(queries, [`WorkflowType = "executeTarget" AND PerdureRunId = "run_1"`]);
  const closed = visibilityWith([
    ['exec_b', 30, 60],
    ['exec_a', 20, 40],
    ['exec_b', 10, 30],
  ]);
  assert.equal((await lookAtRun(closed.client, 'run_1')).closedAtMs, 60);
  assert.equal((await lookAtRun(visibilityWith([]).client, 'run_1')).closedAtMs, undefined);
});

test('no more of a run is read than it takes to know that it is too large', async () => {
  const hits = Array.from({ length: 5_000 }, (_, i): [string, number] => [`exec_${i}`, i]);
  const { client, read } = visibilityWith(hits);
  assert.equal((await lookAtRun(client, 'run_1')).executionIds.length, 201);
  assert.equal(read(), 201);
});
