import type { RunMember } from '../workflows/run-contract.ts';
import type { AppDeps } from './deps.ts';
import { ApiError } from './errors.ts';
import type { Executions } from './executions.ts';

/** Who cancels a run looks for its members for longer than this: see `workflows/cancel-run.ts`. */
const MAX_PAUSE_MS = 5_000;

/**
 * Starts an execution that joins a run: first it is written down, then started. A run that is cancelled in between has
 * it among its members, and cancels it as soon as it is there.
 * @param isKnown whether it has been started before, by the same request
 */
export async function startInRun(
  { runs, executions }: Pick<AppDeps, 'runs' | 'executions'>,
  { runId, executionId, parentExecutionId }: RunMember & { runId: string },
  { start, isKnown }: { start: () => ReturnType<Executions['start']>; isKnown: () => Promise<boolean> },
): ReturnType<Executions['start']> {
  const member = { executionId, ...(parentExecutionId !== undefined && { parentExecutionId }) };
  const begunAt = Date.now();
  try {
    await runs.join(runId, member);
  } catch (err) {
    if (isRunCancelled(err) && (await isKnown())) return 'existing';
    throw err;
  }
  const started = await start();
  if (started === 'started' && Date.now() - begunAt > MAX_PAUSE_MS)
    // This process stood still for a while: the run may have been cancelled, and the search be over.
    await runs.join(runId, member).catch(async (err: unknown) => {
      if (isRunCancelled(err)) await executions.cancel(executionId, { graceMs: 0 });
      throw err;
    });
  return started;
}

function isRunCancelled(err: unknown): boolean {
  return err instanceof ApiError && err.code === 'run_cancelled';
}
