import type { Client } from '@temporalio/client';
import { isNotFound, WorkflowExecutionAlreadyStartedError } from '../common/temporal-errors.ts';
import { memberSignal, ROSTER_WORKFLOW, RUN_CANCELLED } from '../workflows/run-contract.ts';
import type { RunMember, RunRoster } from '../workflows/run-contract.ts';

/** When the first task of a roster comes, which ends it. */
export const ROSTER_DELAY = '7 days';
const TRIES = 3;

export interface RosterPlace {
  client: Client;
  taskQueue: string;
  workflowId: string;
  runId: string;
}

/**
 * Resolves once it is written down in a roster who has joined, with false where nobody may any more.
 * @param call makes a call of Temporal, with whatever deadline
 */
export async function enterRoster(
  { client, taskQueue, workflowId, runId }: RosterPlace,
  member: RunMember,
  call: <T>(fn: () => Promise<T>) => Promise<T> = (fn) => fn(),
): Promise<boolean> {
  for (let tries = 0; tries < TRIES; tries++) {
    try {
      await call(() => client.workflow.getHandle(workflowId).signal(memberSignal, member));
      return true;
    } catch (err) {
      if (!isNotFound(err)) throw err;
    }
    const last = await call(() => lastRun(client, workflowId));
    if (last?.isShut) return false;
    try {
      await call(() =>
        // A delayed start has no task, and neither have the signals that come until then.
        client.workflow.signalWithStart<RunRoster, [RunMember]>(ROSTER_WORKFLOW, {
          workflowId,
          taskQueue,
          args: [{ runId, ...(last && { previousRunId: last.runId }) }],
          startDelay: ROSTER_DELAY,
          signal: memberSignal,
          signalArgs: [member],
          workflowIdReusePolicy: last ? 'ALLOW_DUPLICATE' : 'REJECT_DUPLICATE',
          staticSummary: `executions of ${runId}`,
        }),
      );
      return true;
    } catch (err) {
      // Somebody else began one, and it was shut at once.
      if (!(err instanceof WorkflowExecutionAlreadyStartedError)) throw err;
    }
  }
  return false;
}

/** The newest Temporal run of a roster that is over; undefined where there was none. */
async function lastRun(client: Client, workflowId: string): Promise<{ runId: string; isShut: boolean } | undefined> {
  try {
    const { runId } = await client.workflow.getHandle(workflowId).describe();
    return { runId, isShut: await isShut(client, workflowId, runId) };
  } catch (err) {
    if (isNotFound(err)) return undefined;
    throw err;
  }
}

/** Whether that Temporal run of a roster was ended because its run was cancelled. */
export async function isShut(client: Client, workflowId: string, runId: string): Promise<boolean> {
  const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize: 1,
  });
  return history?.events?.[0]?.workflowExecutionTerminatedEventAttributes?.reason === RUN_CANCELLED;
}
