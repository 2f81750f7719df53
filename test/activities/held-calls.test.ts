import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { ReadAnswer } from '../../activities/agent-answer.ts';
import type { OpenCall } from '../../activities/held-calls.ts';
import { createHeldCalls } from '../../activities/held-calls.ts';

interface TestCall extends OpenCall {
  settle: (answer: ReadAnswer) => Promise<void>;
  fail: () => Promise<void>;
  aborts: number;
}

/** A call whose answer comes when the test says so. */
function openCall(): TestCall {
  let resolve: (answer: ReadAnswer) => void = () => undefined;
  let reject: (err: Error) => void = () => undefined;
  const answer = new Promise<ReadAnswer>((done, failed) => {
    resolve = done;
    reject = failed;
  });
  const call: TestCall = {
    attempt: 1,
    answer,
    abort: () => {
      call.aborts += 1;
      reject(new Error('aborted'));
    },
    end: () => undefined,
    toFailure: (err) => err as Error,
    settle: async (value) => {
      resolve(value);
      await turn();
    },
    fail: async () => {
      reject(new Error('refused'));
      await turn();
    },
    aborts: 0,
  };
  return call;
}

const RESULT: ReadAnswer = { kind: 'result', result: 1 };
const STREAM: ReadAnswer = { kind: 'stream', follow: () => Promise.reject(new Error('not followed')) };

function clock(t: TestContext): (ms: number) => Promise<void> {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  return async (ms) => {
    t.mock.timers.tick(ms);
    await turn();
  };
}

test('a call counts as in flight until it has answered, a stream until it was followed to its end', async () => {
  const held = createHeldCalls(2);
  const [prompt, stream] = [openCall(), openCall()];
  held.add('a', prompt);
  assert.ok(!held.isFull());
  held.add('b', stream);
  assert.ok(held.isFull());
  await prompt.settle(RESULT);
  held.remove('a');
  assert.ok(!held.isFull());
  await stream.settle(STREAM);
  held.add('c', openCall());
  assert.ok(held.isFull());
  held.handOver('b');
  held.take('b');
  held.remove('b');
  assert.ok(!held.isFull());
  held.remove('b');
  held.remove('unknown');
  held.add('d', openCall());
  assert.ok(held.isFull(), 'removing twice gives back one place');
});

test('a failed call gives its place back as well', async () => {
  const held = createHeldCalls(1);
  const call = openCall();
  held.add('a', call);
  await call.fail();
  assert.ok(!held.isFull());
  assert.equal(held.get('a'), call, 'for the task that is done over');
});

test('a call that nobody follows is ended after a minute', async (t) => {
  const pass = clock(t);
  const held = createHeldCalls(1);
  const call = openCall();
  held.add('a', call);
  held.handOver('a');
  await pass(59_000);
  assert.deepEqual([call.aborts, held.get('a')], [0, call]);
  await pass(1_000);
  assert.deepEqual([call.aborts, held.get('a'), held.isFull()], [1, undefined, false]);
});

test('a call that is followed is left alone, however long it takes', async (t) => {
  const pass = clock(t);
  const held = createHeldCalls(1);
  const call = openCall();
  held.add('a', call);
  held.handOver('a');
  assert.equal(held.take('a'), call);
  await pass(3_600_000);
  assert.deepEqual([call.aborts, held.get('a'), held.isFull()], [0, call, true]);
  held.remove('a');
  assert.equal(held.take('a'), undefined);
});

test('only one may follow a call: whoever does may end it', () => {
  const held = createHeldCalls(10);
  const call = openCall();
  held.add('a', call);
  assert.equal(held.take('a'), call);
  assert.equal(held.take('a'), undefined);
});

test('an answer is kept for a while, for a task that is done over', async (t) => {
  const pass = clock(t);
  const held = createHeldCalls(1);
  const call = openCall();
  held.add('a', call);
  await call.settle(RESULT);
  await pass(14_000);
  assert.equal(held.get('a'), call);
  await pass(1_000);
  assert.equal(held.get('a'), undefined);
});

test('an answer that comes while it is followed is not taken away from who follows', async (t) => {
  const pass = clock(t);
  const held = createHeldCalls(1);
  const call = openCall();
  held.add('a', call);
  const taken = held.take('a');
  await call.settle(RESULT);
  await pass(3_600_000);
  assert.deepEqual([call.aborts, await taken?.answer, held.get('a')], [0, RESULT, call]);
});

test('only so many answers are kept, the newest', async () => {
  const held = createHeldCalls(1);
  for (let i = 0; i < 205; i++) {
    const call = openCall();
    held.add(`exec_${i}`, call);
    await call.settle(RESULT);
  }
  assert.equal(held.get('exec_4'), undefined);
  assert.ok(held.get('exec_5') && held.get('exec_204'));
});

test('a call is unfollowed until it was answered within its task, or is followed', async () => {
  const held = createHeldCalls(10);
  const [prompt, slow] = [openCall(), openCall()];
  held.add('a', prompt);
  held.add('b', slow);
  assert.equal(held.unfollowed(), 2);
  await prompt.settle(RESULT);
  assert.equal(held.unfollowed(), 1);
  held.handOver('b');
  await slow.settle(RESULT);
  assert.equal(held.unfollowed(), 1, 'its answer waits to be fetched');
  held.take('b');
  assert.equal(held.unfollowed(), 0);
});
