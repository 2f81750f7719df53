import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ActivityFailure, ApplicationFailure, RetryState, TimeoutFailure, TimeoutType } from '@temporalio/common';
import { endingOfFailure, NoTimeLeft, WORKER_DIED } from '../../workflows/endings.ts';

const endingOf = (type: (typeof TimeoutType)[keyof typeof TimeoutType]) =>
  endingOfFailure(new TimeoutFailure('', undefined, type), 60_000, () => false).status;

test('a worker that is silent, or does not come back for the call it holds, is dead: no limit has passed', () => {
  assert.equal(endingOf(TimeoutType.HEARTBEAT), 'failed');
  assert.equal(endingOf(TimeoutType.SCHEDULE_TO_START), 'failed');
});

test('a limit that has passed is a timeout', () => {
  assert.equal(endingOf(TimeoutType.START_TO_CLOSE), 'timeout');
  assert.equal(endingOf(TimeoutType.SCHEDULE_TO_CLOSE), 'timeout');
});

test('where only time was missing for another call: a timeout once the limit has passed, else the last failure', () => {
  const refused = ApplicationFailure.create({
    message: 'no',
    details: [{ error: 'no', category: 'agent_unreachable' }],
  });
  const silent = new TimeoutFailure('', undefined, TimeoutType.HEARTBEAT);
  const notStarted = new TimeoutFailure('', undefined, TimeoutType.SCHEDULE_TO_START);
  const ofActivity = (cause: Error, retryState: RetryState) =>
    new ActivityFailure('', 'callAgent', undefined, retryState, undefined, cause);
  const endingAt = (err: Error, isOver: boolean) => {
    const ending = endingOfFailure(err, 60_000, () => isOver);
    return [ending.status, 'error' in ending && ending.error];
  };
  for (const [failure, error] of [
    [new NoTimeLeft(ofActivity(refused, RetryState.MAXIMUM_ATTEMPTS_REACHED)), 'no'],
    [new NoTimeLeft(refused), 'no'],
    [ofActivity(refused, RetryState.TIMEOUT), 'no'],
    [ofActivity(silent, RetryState.TIMEOUT), WORKER_DIED.error],
    [ofActivity(notStarted, RetryState.NON_RETRYABLE_FAILURE), WORKER_DIED.error],
  ] as const) {
    assert.deepEqual(endingAt(failure, true), ['timeout', 'Agent timeout']);
    assert.deepEqual(endingAt(failure, false), ['failed', error]);
  }
  // Another call was not to come in any case.
  const last = ofActivity(refused, RetryState.MAXIMUM_ATTEMPTS_REACHED);
  assert.deepEqual(endingAt(last, true), ['failed', 'no']);
});
