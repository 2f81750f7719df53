import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULTS, TASK_MS } from '../../bench/patterns/settings.ts';
import { createTrace } from '../../bench/patterns/trace.ts';

const loadMs = 4 * FAULTS.killEveryMs;
const at = (rate: number, seed = 7) => createTrace({ seed, rate, loadMs });

test('the same seed makes the same trace, another seed another one', () => {
  const facts = (seed: number) => {
    const trace = at(4, seed);
    return {
      kills: trace.kills('api'),
      outages: trace.outages,
      faults: Array.from({ length: 200 }, (_, n) => trace.agentFault(n, 1)),
      cuts: Array.from({ length: 5 }, (_, i) => trace.cutAfterMs(i)),
      answer: trace.answer(3),
    };
  };
  assert.deepEqual(facts(7), facts(7));
  const [one, other] = [facts(7), facts(8)];
  for (const key of ['kills', 'outages', 'faults', 'cuts', 'answer'] as const)
    assert.notDeepEqual(one[key], other[key], key);
});

test('at rate 0 nothing ever goes wrong', () => {
  const trace = at(0);
  assert.deepEqual(trace.kills('orchestrator'), []);
  assert.deepEqual(trace.outages, []);
  assert.equal(trace.cutAfterMs(0), Infinity);
  assert.equal(trace.idleLimitMs, Infinity);
  for (let n = 0; n < 2000; n++) {
    assert.equal(trace.agentFault(n, 1).kind, 'none');
    assert.equal(trace.hangs(n), false);
  }
});

test('a load has as many kills and outages as its rate says, in order and in full flow', () => {
  for (const rate of [1, 2, 8]) {
    const { kills, outages } = at(rate);
    const times = kills('orchestrator');
    assert.equal(times.length, 4 * rate);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
    for (const time of times) assert.ok(time >= TASK_MS && time <= loadMs, String(time));
    assert.equal(outages.length, 4 * rate);
    for (const { fromMs, toMs } of outages) {
      assert.ok(fromMs >= TASK_MS && toMs <= loadMs);
      assert.ok(Math.abs(toMs - fromMs - FAULTS.outageMs) < 1e-6);
    }
  }
});

test('outages do not overlap', () => {
  const { outages } = at(20);
  assert.equal(outages.length, 80);
  for (const [i, { fromMs }] of outages.entries()) assert.ok(fromMs >= (outages[i - 1]?.toMs ?? 0));
});

test('a load that is too short for a fault still has one', () => {
  const short = createTrace({ seed: 7, rate: 1, loadMs: FAULTS.killEveryMs / 10 });
  assert.equal(short.kills('orchestrator').length, 1);
  assert.equal(short.outages.length, 1);
});

test('each role dies at times of its own', () => {
  const trace = at(1);
  assert.notDeepEqual(trace.kills('api'), trace.kills('server'));
});

test('the agent fails as often as the level says, and every call has a fate of its own', () => {
  const rate = 4;
  const trace = at(rate);
  const executions = Array.from({ length: 20_000 }, (_, n) => n);
  const share = (kind: string, call: number) =>
    executions.filter((n) => trace.agentFault(n, call).kind === kind).length / executions.length;
  for (const call of [1, 2]) {
    assertNear(share('error', call), rate * FAULTS.agentErrorProbability);
    assertNear(share('crash', call), rate * FAULTS.agentCrashProbability);
    assertNear(share('hang', call), rate * FAULTS.agentHangProbability);
  }
  const failing = executions.filter((n) => trace.agentFault(n, 1).kind === 'error');
  assert.ok(failing.some((n) => trace.agentFault(n, 2).kind === 'none'));
  const hanging = executions.filter((n) => trace.hangs(n));
  assert.ok(hanging.every((n) => trace.agentFault(n, 3).kind === 'hang'));
});

test('a crash comes while the agent works', () => {
  const trace = at(100);
  for (let n = 0; n < 500; n++) {
    const fault = trace.agentFault(n, 1);
    if (fault.kind === 'crash') assert.ok(fault.afterMs >= 0 && fault.afterMs < TASK_MS);
  }
});

test('connections live as long on average as the level says', () => {
  const trace = at(2);
  const ages = Array.from({ length: 20_000 }, (_, i) => trace.cutAfterMs(i));
  assertNear(ages.reduce((sum, age) => sum + age, 0) / ages.length, FAULTS.cutEveryMs / 2, 0.05);
});

function assertNear(actual: number, wanted: number, tolerance = 0.15): void {
  assert.ok(Math.abs(actual - wanted) <= tolerance * wanted, `${actual} instead of ${wanted}`);
}
