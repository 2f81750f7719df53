import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTurnstile } from '../../api/turnstile.ts';

test('so many are inside at a time, in the order in which they came, and who leaves the queue holds up nobody', async () => {
  const turnstile = createTurnstile(2);
  const entered: number[] = [];
  const leaving: (() => void)[] = [];
  const impatient = new AbortController();
  const enter = async (n: number, signal = new AbortController().signal) => {
    const leave = await turnstile.enter(signal);
    if (!signal.aborted) entered.push(n);
    leaving.push(leave);
  };
  const all = [enter(1), enter(2), enter(3, impatient.signal), enter(4), enter(5)];
  await Promise.all(all.slice(0, 2));
  assert.deepEqual(entered, [1, 2]);
  impatient.abort();
  leaving[0]?.();
  leaving[0]?.();
  await all[3];
  assert.deepEqual(entered, [1, 2, 4], 'leaving twice lets one in');
  leaving[1]?.();
  await Promise.all(all);
  assert.deepEqual(entered, [1, 2, 4, 5]);
});
