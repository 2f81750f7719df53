import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import type { ReadAnswer } from '../../activities/agent-answer.ts';
import { createPace } from '../../activities/pace.ts';
import type { Target } from '../../workflows/execution.ts';

const RESULT: ReadAnswer = { kind: 'result', result: 1 };
const target = (name: string): Target => ({ node: 'a', name, type: 'reasoner' });

test('a target that nobody has seen yet is given all the patience there is', () => {
  assert.equal(createPace().patienceFor(target('x'), 500), 500);
});

test('a target is waited for unless its last answer took longer than that, and each has its own pace', async () => {
  const pace = createPace();
  pace.measure(
    target('x'),
    sleep(30).then(() => RESULT),
  );
  await sleep(60);
  assert.equal(pace.patienceFor(target('x'), 10), 0);
  assert.equal(pace.patienceFor(target('x'), 60_000), 60_000);
  assert.equal(pace.patienceFor(target('y'), 10), 10);
  pace.measure(target('x'), Promise.resolve(RESULT));
  await turn();
  assert.equal(pace.patienceFor(target('x'), 10), 10, 'it has become prompt');
});

test('a stream is not waited for', async () => {
  const pace = createPace();
  pace.measure(target('x'), Promise.resolve({ kind: 'stream', follow: () => Promise.reject(new Error('no')) }));
  await turn();
  assert.equal(pace.patienceFor(target('x'), 60_000), 0);
});

test('one late answer is enough: others do not wait until it is here, and when it comes prompt again they do', async () => {
  const pace = createPace();
  pace.noteSlow(target('x'));
  assert.equal(pace.patienceFor(target('x'), 60_000), 0);
  pace.measure(target('x'), Promise.resolve(RESULT));
  await turn();
  assert.equal(pace.patienceFor(target('x'), 60_000), 60_000);
});

test('a failure says nothing about the pace, and is not left unhandled', async () => {
  const pace = createPace();
  pace.measure(target('x'), Promise.reject(new Error('refused')));
  await turn();
  assert.equal(pace.patienceFor(target('x'), 10), 10);
});

test('what is remembered is bounded, and a target that is known already costs nothing', () => {
  const pace = createPace();
  for (let i = 0; i < 10_000; i++) pace.noteSlow(target(`t${i}`));
  pace.noteSlow(target('t7'));
  assert.equal(pace.patienceFor(target('t0'), 10), 0);
  pace.noteSlow(target('one more'));
  assert.equal(pace.patienceFor(target('t0'), 10), 10);
});
