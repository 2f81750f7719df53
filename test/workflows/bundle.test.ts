import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bundleWorkflowCode } from '@temporalio/worker';
import { quietLogger } from '../support/bundle.ts';
import { WORKFLOWS_PATH } from '../../worker/start-worker.ts';

/** What Temporal's own workflow package brings along. */
const EXPECTED = new Set(['@temporalio/common', '@temporalio/workflow', 'nexus-rpc', 'long', 'ms']);

test('the workflow bundle holds our workflows and Temporal, nothing else', async () => {
  const { code } = await bundleWorkflowCode({ workflowsPath: WORKFLOWS_PATH, logger: quietLogger });
  const packages = new Set([...code.matchAll(/node_modules\/((?:@[\w.-]+\/)?[\w.-]+)/g)].map(([, name]) => name ?? ''));
  assert.ok(packages.has('@temporalio/workflow'));
  assert.deepEqual(
    [...packages].filter((name) => !EXPECTED.has(name)),
    [],
  );
});
