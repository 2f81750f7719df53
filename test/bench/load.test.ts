import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLoop } from '../../bench/load.ts';

test('an open loop counts from the scheduled send: what held the sender up is not hidden', async () => {
  const BLOCKED_MS = 200;
  let sends = 0;
  const { turns } = await openLoop({
    ratePerS: 100,
    count: 5,
    turn: () => {
      // The first send blocks the whole process; those that were due meanwhile are late.
      for (const until = performance.now() + BLOCKED_MS; sends === 0 && performance.now() < until;);
      sends += 1;
      return Promise.resolve({ answerMs: 0, webhookMs: 1 });
    },
  });
  assert.equal(sends, 5);
  const latest = Math.max(...turns.map(({ webhookMs }) => webhookMs ?? 0));
  // The second was due 10 ms after the first.
  assert.ok(latest >= BLOCKED_MS - 10, `${latest} ms`);
});

test('an open loop does not wait for what it has sent, and goes on after a failure', async () => {
  let inFlight = 0;
  let most = 0;
  const { turns, errors } = await openLoop({
    ratePerS: 500,
    count: 20,
    turn: async () => {
      inFlight += 1;
      most = Math.max(most, inFlight);
      const isOdd = most % 2 === 1;
      while (most < 10) await new Promise((resolve) => setTimeout(resolve, 5));
      inFlight -= 1;
      if (isOdd) throw new Error('refused');
      return { answerMs: 1 };
    },
  });
  assert.ok(most >= 10);
  assert.ok(errors.length > 0);
  assert.equal(turns.length + errors.length, 20);
});
