import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clopperPearson } from '../../chaos/interval.ts';

/** From the tables and the closed forms: for 0 or n of n the bounds are roots of alpha / 2. */
const CASES: [successes: number, trials: number, low: number, high: number][] = [
  [10, 10, 0.025 ** (1 / 10), 1],
  [15_000, 15_000, 0.025 ** (1 / 15_000), 1],
  [0, 10, 0, 1 - 0.025 ** (1 / 10)],
  [5, 10, 0.187086, 0.812914],
  [1, 20, 0.001265, 0.248733],
  [95, 100, 0.887165, 0.983568],
];

for (const [successes, trials, low, high] of CASES)
  test(`the interval of ${successes} out of ${trials}`, () => {
    const [gotLow, gotHigh] = clopperPearson(successes, trials);
    assert.ok(Math.abs(gotLow - low) < 1e-5, `low ${gotLow}`);
    assert.ok(Math.abs(gotHigh - high) < 1e-5, `high ${gotHigh}`);
  });

test('no trials say nothing', () => {
  assert.deepEqual(clopperPearson(0, 0), [0, 1]);
});
