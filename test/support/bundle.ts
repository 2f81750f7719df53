import { bundleWorkflowCode } from '@temporalio/worker';
import type { WorkflowBundleOption } from '@temporalio/worker';
import { WORKFLOWS_PATH } from '../../worker/start-worker.ts';

let bundle: Promise<WorkflowBundleOption> | undefined;

/** The workflow bundle: the one that `npm test` made for all files, or one made here. */
export function workflowBundle(): Promise<WorkflowBundleOption> {
  const codePath = process.env.PERDURE_TEST_BUNDLE;
  bundle ??= codePath
    ? Promise.resolve({ codePath })
    : bundleWorkflowCode({ workflowsPath: WORKFLOWS_PATH, logger: quietLogger });
  return bundle;
}

const none = () => undefined;
/** For webpack, which is talkative. */
export const quietLogger = {
  log: none,
  trace: none,
  debug: none,
  info: none,
  warn: console.warn,
  error: console.error,
};
