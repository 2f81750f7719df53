/** Bundles the workflows ahead of time, the last step of `npm run build`: a worker need not do it at its start. */
import { writeFile } from 'node:fs/promises';
import { bundleWorkflowCode } from '@temporalio/worker';
import { WORKFLOW_BUNDLE, WORKFLOWS_PATH } from './start-worker.ts';

const { code } = await bundleWorkflowCode({ workflowsPath: WORKFLOWS_PATH });
await writeFile(WORKFLOW_BUNDLE, code);
