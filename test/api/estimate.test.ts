import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDurations } from '../../api/durations.ts';
import { estimateOf } from '../../api/estimate.ts';
import type { ReadState } from '../../api/pending.ts';
import { retryAfterOf } from '../../api/retry-pace.ts';
import { acceptingAgent } from '../support/agents.ts';
import { startSystem } from '../support/system.ts';

const START = Date.parse('2026-01-01T00:00:00Z');
const PAST = { count: 100, p50Ms: 60_000, p90Ms: 300_000 };
const iso = (ms: number) => new Date(ms).toISOString();

function running(more: Partial<ReadState> = {}): ReadState {
  return {
    executionId: 'exec_1',
    runId: 'run_1',
    target: { node: 'a', name: 'x', type: 'reasoner' },
    createdAt: iso(START),
    startedAt: iso(START),
    status: 'running',
    webhookEvents: [],
    sequence: 2,
    history: { events: 0, signals: 0, signalBytes: 0 },
    pending: {},
    ...more,
  };
}

test("the agent's own estimate comes first, then what its progress says, then past executions", () => {
  const at = START + 30_000;
  const progress = { progressPct: 25, pending: { progressAt: iso(START + 20_000) } };
  assert.deepEqual(estimateOf(running({ estimatedCompletion: 'then', ...progress }), PAST, at), {
    completion: 'then',
    basis: 'agent',
  });
  assert.deepEqual(estimateOf(running(progress), PAST, at), { completion: iso(START + 80_000), basis: 'progress' });
  assert.deepEqual(estimateOf(running(), PAST, at), { completion: iso(START + 60_000), basis: 'history' });
});

test('what has taken longer than half of the others is expected to take as long as nine in ten; then nobody knows', () => {
  assert.equal(estimateOf(running(), PAST, START + 61_000)?.completion, iso(START + 300_000));
  assert.equal(estimateOf(running(), PAST, START + 301_000), undefined);
  assert.equal(estimateOf(running(), undefined, START), undefined);
});

test('progress that says nothing, or whose end has passed, is no basis', () => {
  const at = START + 30_000;
  const pending = { progressAt: iso(START + 10_000) };
  assert.equal(estimateOf(running({ progressPct: 1, pending }), PAST, at)?.basis, 'history');
  assert.equal(estimateOf(running({ progressPct: 50, pending }), PAST, at)?.basis, 'history');
  assert.equal(estimateOf(running({ status: 'succeeded', progressPct: 50, pending }), PAST, at), undefined);
});

test('asking again is worth it when half of the time is over, after 1 to 15 s', () => {
  const now = Date.now();
  const young = running({ createdAt: iso(now) });
  assert.equal(retryAfterOf(young), 1);
  assert.equal(retryAfterOf(young, iso(now + 8_000)), 4);
  assert.equal(retryAfterOf(young, iso(now + 80_000)), 15);
  assert.equal(retryAfterOf(young, iso(now - 80_000)), 1);
});

test('durations are asked for once a minute and target, and few of them say nothing', async () => {
  let asked = 0;
  const durations = createDurations((target) => {
    asked += 1;
    return Promise.resolve(target === 'few' ? [1, 2] : Array.from({ length: 10 }, (_, i) => 10 - i));
  });
  for (const target of ['many', 'few', 'many']) assert.equal(durations.of(target), undefined);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(durations.of('many'), { count: 10, p50Ms: 6, p90Ms: 10 });
  assert.equal(durations.of('few'), undefined);
  assert.equal(asked, 2);
});

test('an execution says when it should be done, from those before it', async (t) => {
  const agent = await acceptingAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url } });
  const start = async () => (await system.post('/api/v1/execute/async/a.eta', {})).body.execution_id as string;
  const ids = await Promise.all(Array.from({ length: 6 }, start));
  // Long enough that one is still expected to go on when it is read.
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  for (const id of ids) await agent.report(id, { status: 'succeeded' });
  for (const id of ids) await system.client.workflow.getHandle(id).result();
  // Visibility lags a little behind, and an API asks it once a minute: another one asks anew.
  for (;;) {
    const other = await startSystem(t, { agentNodes: { a: agent.url }, withWorker: false });
    const id = await start();
    await agent.callbackUrl(id);
    await other.get(`/api/v1/executions/${id}`);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const { body } = await other.get(`/api/v1/executions/${id}`);
    assert.equal(body.status === 'queued' || body.status === 'running', true);
    await agent.report(id, { status: 'succeeded' });
    if (body.estimate_basis === null) continue;
    assert.equal(body.estimate_basis, 'history');
    assert.ok(Date.parse(body.estimated_completion) > Date.parse(body.created_at));
    return;
  }
});
