import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TimeoutFailure, TimeoutType } from '@temporalio/common';
import { endingOfFailure } from '../../workflows/endings.ts';

const endingOf = (type: (typeof TimeoutType)[keyof typeof TimeoutType]) =>
  endingOfFailure(new TimeoutFailure('', undefined, type), 60_000).status;

test('a worker that is silent, or does not come back for the call it holds, is dead: no limit has passed', () => {
  assert.equal(endingOf(TimeoutType.HEARTBEAT), 'failed');
  assert.equal(endingOf(TimeoutType.SCHEDULE_TO_START), 'failed');
});

test('a limit that has passed is a timeout', () => {
  assert.equal(endingOf(TimeoutType.START_TO_CLOSE), 'timeout');
  assert.equal(endingOf(TimeoutType.SCHEDULE_TO_CLOSE), 'timeout');
});
