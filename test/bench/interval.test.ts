import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clopperPearson } from '../../bench/patterns/interval.ts';

/** From the tables of the beta distribution (R: binom.test). */
const KNOWN = [
  { successes: 0, trials: 10, low: 0, high: 0.3084971 },
  { successes: 1, trials: 10, low: 0.002528579, high: 0.4450161 },
  { successes: 5, trials: 10, low: 0.187086, high: 0.812914 },
  { successes: 10, trials: 10, low: 0.6915029, high: 1 },
  { successes: 95, trials: 100, low: 0.8871651, high: 0.9835681 },
];

for (const { successes, trials, low, high } of KNOWN)
  test(`the interval of ${successes} of ${trials} is the exact one`, () => {
    const interval = clopperPearson(successes, trials);
    assert.ok(Math.abs(interval.low - low) < 1e-6, String(interval.low));
    assert.ok(Math.abs(interval.high - high) < 1e-6, String(interval.high));
  });

test('without failures the lower bound is (1 - confidence) / 2 to the power of 1/N', () => {
  for (const trials of [50, 864, 30_000]) {
    const { low, high } = clopperPearson(trials, trials);
    assert.ok(Math.abs(low - 0.025 ** (1 / trials)) < 1e-9, String(low));
    assert.equal(high, 1);
  }
});

test('it holds the share itself, is symmetric, and narrows with N', () => {
  let width = 1;
  for (const trials of [20, 200, 2000, 20_000]) {
    const { low, high } = clopperPearson(trials * 0.9, trials);
    assert.ok(low < 0.9 && 0.9 < high);
    assert.ok(high - low < width);
    width = high - low;
    const mirrored = clopperPearson(trials * 0.1, trials);
    assert.ok(Math.abs(mirrored.low - (1 - high)) < 1e-9);
    assert.ok(Math.abs(mirrored.high - (1 - low)) < 1e-9);
  }
});

test('nothing tried is nothing known', () => {
  assert.deepEqual(clopperPearson(0, 0), { low: 0, high: 1 });
});
