import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { ACTION_RULES, billableActions } from '../../bench/actions.ts';
import type { HistoryEvent } from '../../bench/actions.ts';
import { ROOT } from '../support/temporal.ts';

const stored = (name: string): HistoryEvent[] => {
  const file = join(ROOT, 'test/workflows/histories', `${name}.json`);
  return (historyFromJSON(JSON.parse(readFileSync(file, 'utf8'))).events ?? []) as HistoryEvent[];
};
const countOf = (what: string, events: HistoryEvent[]) =>
  ACTION_RULES.find((rule) => rule.what === what)?.count(events);

const started: HistoryEvent = { workflowExecutionStartedEventAttributes: {} };
const taskScheduled: HistoryEvent = { workflowTaskScheduledEventAttributes: {} };
const taskStarted: HistoryEvent = { workflowTaskStartedEventAttributes: {} };
const taskCompleted: HistoryEvent = { workflowTaskCompletedEventAttributes: {} };
const localActivity = (task: number): HistoryEvent => ({
  // Long is what the wire gives; its text is all that is compared.
  markerRecordedEventAttributes: { markerName: 'core_local_activity', workflowTaskCompletedEventId: task as never },
});

test('one ordinary activity is two actions, a webhook one more', () => {
  const ordinary: HistoryEvent[] = [
    started,
    taskScheduled,
    taskStarted,
    taskCompleted,
    { activityTaskScheduledEventAttributes: {} },
    { activityTaskStartedEventAttributes: { attempt: 1 } },
    { activityTaskCompletedEventAttributes: {} },
  ];
  assert.equal(billableActions(ordinary), 2);
  assert.equal(billableActions([...ordinary, { activityTaskScheduledEventAttributes: {} }]), 3);
});

test('each retry of an activity is one action', () => {
  const events: HistoryEvent[] = [started, { activityTaskScheduledEventAttributes: {} }];
  assert.equal(billableActions([...events, { activityTaskStartedEventAttributes: { attempt: 4 } }]), 5);
});

test('local activities of one workflow task are one action, of two tasks two', () => {
  assert.equal(billableActions([started, taskCompleted, localActivity(4), localActivity(4)]), 2);
  assert.equal(billableActions([started, taskCompleted, localActivity(4), localActivity(10)]), 3);
});

test('a workflow task that only goes on with its local activity is one action', () => {
  const heartbeat = [taskCompleted, taskScheduled, taskStarted];
  const history = [started, taskScheduled, taskStarted, ...heartbeat, ...heartbeat, taskCompleted, localActivity(10)];
  assert.equal(countOf('workflow task heartbeat', history), 2);
  assert.equal(billableActions(history), 4);
});

test('a marker that is no local activity, and what ends a workflow, cost nothing', () => {
  const free: HistoryEvent[] = [
    { markerRecordedEventAttributes: { markerName: 'core_patch' } },
    { workflowExecutionCompletedEventAttributes: {} },
    { workflowExecutionCancelRequestedEventAttributes: {} },
  ];
  assert.equal(billableActions([started, ...free]), 1);
});

test('signals, timers and search attributes of stored histories are counted', () => {
  assert.equal(countOf('signal', stored('callback-webhook')), 1);
  assert.equal(countOf('activity scheduled', stored('async-webhook')), 2);
  assert.equal(countOf('timer', stored('timeout')), 1);
  assert.ok((countOf('search attributes', stored('timeout')) ?? 0) >= 1);
});

test('the first call within the first workflow task costs what an activity would: only events and writes are saved', () => {
  assert.equal(countOf('local activities', stored('local-async-webhook')), 1);
  assert.equal(billableActions(stored('local-sync')), 2);
  assert.equal(billableActions(stored('activity-sync')), 2);
  assert.equal(billableActions(stored('local-async-webhook')), 3);
  assert.equal(billableActions(stored('async-webhook')), 3);
});
