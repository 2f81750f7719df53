import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outcomeOf, summarize } from '../../bench/recovery.ts';
import type { Seen } from '../../bench/recovery.ts';

const KILLED_AT = 1_000;
const seen = (over: Partial<Seen>): Seen => ({
  behaviour: 'slow',
  sentAt: 500,
  endedAt: 3_000,
  agentCalls: 1,
  webhooks: 1,
  ...over,
});
const outcome = (over: Partial<Seen>) => outcomeOf(seen(over), KILLED_AT);

test('in flight is what was sent before the kill and told after it', () => {
  assert.equal(outcome({}).recoverMs, 2_000);
  assert.equal(outcome({ endedAt: 900 }).wasInFlight, false);
  assert.equal(outcome({ sentAt: 1_500 }).wasInFlight, false);
  assert.equal(outcome({ sentAt: 1_500 }).recoverMs, undefined);
});

test('what is never told is lost, whenever it was sent', () => {
  assert.equal(outcome({ endedAt: undefined, webhooks: 0 }).isLost, true);
  assert.equal(outcome({ endedAt: undefined, webhooks: 0 }).wasInFlight, true);
  assert.equal(outcome({ sentAt: 1_500, endedAt: undefined, webhooks: 0 }).isLost, true);
});

test('the summary counts executions, and takes times only of those that recovered', () => {
  const all = [
    outcome({ endedAt: 2_000 }),
    outcome({ endedAt: 4_000, agentCalls: 3 }),
    outcome({ endedAt: 900, webhooks: 2 }),
    outcome({ endedAt: undefined, webhooks: 0 }),
  ];
  assert.deepEqual(summarize(all), { inFlight: 3, p50: 1_000, p99: 3_000, calledAgain: 1, toldAgain: 1, lost: 1 });
});
