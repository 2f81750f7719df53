import { bundleWorkflowCode } from '@temporalio/worker';
import type { WorkflowBundleOption } from '@temporalio/worker';
import { WORKFLOWS_PATH } from '../../worker/create-worker.ts';

let bundle: Promise<WorkflowBundleOption> | undefined;

/** The workflow bundle: the one that `npm test` made for all files, or one made here. */
export function workflowBundle(): Promise<WorkflowBundleOption> {
  const codePath = process.env.PERDURE_TEST_BUNDLE;
  bundle ??= codePath
    ? Promise.resolve({ codePath })
    : bundleWorkflowCode({ workflowsPath: WORKFLOWS_PATH, logger: undefined });
  return bundle;
}
