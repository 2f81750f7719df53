import { join } from 'node:path';
import { bundleWorkflowCode, Worker } from '@temporalio/worker';
import type { History } from '@temporalio/common/lib/proto-utils.js';

/** What came of one execution when its history was gone through once more. */
export interface Replayed {
  id: string;
  /** Why the code that made it does not come to the same again: its workflow would stand still for ever. */
  flaw: string | undefined;
}

const SILENT = { log: () => undefined, trace: () => undefined, debug: () => undefined };
const QUIET = { ...SILENT, info: () => undefined, warn: () => undefined, error: () => undefined };

/**
 * Replays histories on the workflow code of that checkout: a worker that takes an execution over from a dead one does
 * just that.
 */
export async function* replayAll(
  root: string,
  histories: AsyncIterable<{ workflowId: string; history: History }>,
): AsyncGenerator<Replayed> {
  const { code } = await bundleWorkflowCode({ workflowsPath: join(root, 'workflows'), logger: QUIET });
  const options = { workflowBundle: { code }, replayName: 'chaos' };
  for await (const { workflowId: id, error } of Worker.runReplayHistories(options, histories))
    yield { id, flaw: error?.message };
}
