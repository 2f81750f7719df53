import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { createProjection } from '../../api/projection.ts';

/** The view of an execution whose agent is at work and whose workflow is then terminated. */
async function terminatedBy(identity: string, reason: string) {
  const file = new URL('../workflows/histories/local-cancelled.json', import.meta.url);
  const { events } = historyFromJSON(JSON.parse(await readFile(file, 'utf8')));
  const projection = createProjection('exec_1', undefined);
  for (const event of (events ?? []).slice(0, 5)) await projection.fold(event);
  await projection.fold({ workflowExecutionTerminatedEventAttributes: { identity, reason } });
  return projection.state()?.outcome;
}

test('what Temporal itself terminates has failed, and says why', async () => {
  const outcome = await terminatedBy('history-service', 'Workflow history size exceeds limit.');
  assert.ok(outcome?.status === 'failed');
  assert.equal(outcome.category, 'internal_error');
  assert.equal(outcome.error, 'Terminated by Temporal: Workflow history size exceeds limit.');
});

test('what an operator terminates is cancelled', async () => {
  const outcome = await terminatedBy('temporal-cli:ada@host', 'spring cleaning');
  assert.ok(outcome?.status === 'cancelled');
  assert.equal(outcome.error, 'Terminated by an operator: spring cleaning');
});
