import assert from 'node:assert/strict';
import { test } from 'node:test';
import { balanceOf } from '../../chaos/balance.ts';
import { FAULT_NAMES, isAsking, nameOf, selectFaults } from '../../chaos/faults.ts';
import type { Disturbance, Fact } from '../../chaos/ledger.ts';
import { makePlan } from '../../chaos/plan.ts';

const options = { seed: 1, executions: 240, rate: 4, faults: selectFaults(undefined), rounds: 1 };

test('the same seed gives the same plan, another seed another one', () => {
  assert.deepEqual(makePlan(options), makePlan(options));
  assert.notDeepEqual(makePlan(options), makePlan({ ...options, seed: 2 }));
});

test('a short plan holds every fault there is', () => {
  for (const seed of [1, 2, 3]) {
    const { faults, executions } = makePlan({ ...options, seed });
    const planned = new Set([
      ...faults.map(({ fault }) => nameOf(fault)),
      ...executions
        .slice(0, options.executions)
        .flatMap(({ agent, receiver }) => [`agent:${agent}`, `receiver:${receiver}`]),
    ]);
    assert.deepEqual(
      FAULT_NAMES.filter((name) => !planned.has(name)),
      [],
    );
  }
});

test('faults are chosen by name or by how their names begin', () => {
  assert.deepEqual([...selectFaults('agent:429,receiver:410')], ['agent:429', 'receiver:410']);
  assert.ok(selectFaults('kill-worker').has('kill-worker@agent-called'));
  assert.deepEqual([...selectFaults('agent:500')], ['agent:500'], 'a whole name is that one alone');
  assert.equal(selectFaults('none').size, 0);
  assert.throws(() => selectFaults('kill-nobody'));
});

test('what waits for a callback that never comes has a limit, so that it can end', () => {
  const { executions } = makePlan(options);
  for (const { agent, timeoutMs } of executions)
    if (agent === 'silent' || agent === 'hang') assert.ok(timeoutMs !== undefined);
});

test('what waits for its client is known to it, and can be seen to wait', () => {
  const { executions } = makePlan(options);
  for (const { agent, way, follow, hasKey, hold, questions, namesTurn } of executions) {
    assert.equal(questions !== undefined, isAsking(agent));
    if (isAsking(agent)) assert.ok(way !== 'sync' && follow !== 'webhook' && hasKey);
    if (questions === 2) assert.ok(namesTurn, 'of several questions an answer says which one is meant');
    if (hold) assert.ok(hasKey);
  }
});

test('a short plan has questions, messages and pauses, and most of it has none', () => {
  for (const seed of [1, 2, 3]) {
    const executions = makePlan({ ...options, seed }).executions.slice(0, options.executions);
    const asking = executions.filter(({ agent }) => isAsking(agent));
    const spokenTo = executions.filter(({ messages }) => messages);
    const held = executions.filter(({ hold }) => hold);
    for (const some of [asking, spokenTo, held])
      assert.ok(some.length >= 10 && some.length <= options.executions / 4, `${some.length}`);
    for (const agent of ['ask', 'ask-in-stream', 'ask-later', 'ask-again', 'ask-two'])
      assert.ok(asking.some((one) => one.agent === agent));
    assert.ok(asking.some(({ questions }) => questions === 2) && asking.some(({ hold }) => hold));
  }
});

const plan = makePlan({ ...options, executions: 1, faults: selectFaults('kill-api@random') });
const killed: Disturbance = {
  fault: 'kill-api@random',
  whats: ['api-1#1'],
  how: 'killed',
  from: 0,
  to: 1,
  inFlight: 3,
};
const sent: Fact = { at: 0, n: 0, kind: 'submit-sent', try: 1, api: 'api-1' };
const cut: Fact = { at: 1, n: 0, kind: 'submit-cut', try: 1, sentAt: 0, why: 'ECONNRESET' };

test('an account that balances', () => {
  const { submitted, cutOff, flaws } = balanceOf(plan, [sent, cut], [killed]);
  assert.deepEqual({ submitted, cutOff, flaws }, { submitted: 1, cutOff: 1, flaws: [] });
});

test('a run is void when something was not submitted, or has an unknown fate', () => {
  assert.match(balanceOf(plan, [], [killed]).flaws[0] ?? '', /never submitted/);
  assert.match(balanceOf(plan, [sent], [killed]).flaws[0] ?? '', /not known what became/);
});

test('a run is void when a planned fault did not happen, or found nothing to break', () => {
  assert.match(balanceOf(plan, [sent, cut], []).flaws[0] ?? '', /kill-api@random did not happen/);
  assert.match(balanceOf(plan, [sent, cut], [{ ...killed, inFlight: 0 }]).flaws[0] ?? '', /did not happen/);
});
