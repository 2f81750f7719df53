import type { Context } from '@temporalio/activity';
import { agentCallbackSignal } from '../workflows/contract.ts';

const PAGE_EVENTS = 200;

/**
 * Whether the agent's callback stands in the history of the workflow that this activity belongs to. The workflow may
 * not have got round to it: when Temporal comes back from a crash, the retry of a call can be quicker than the task
 * that would have cancelled it.
 */
export async function isCallbackRecorded({ client, info }: Context): Promise<boolean> {
  const { workflowId, runId } = info.workflowExecution ?? {};
  let token = new Uint8Array();
  do {
    const { history, nextPageToken } = await client.workflowService.getWorkflowExecutionHistoryReverse({
      namespace: info.namespace,
      execution: { workflowId, runId },
      maximumPageSize: PAGE_EVENTS,
      nextPageToken: token,
    });
    const names = history?.events?.map((event) => event.workflowExecutionSignaledEventAttributes?.signalName);
    if (names?.includes(agentCallbackSignal.name)) return true;
    token = new Uint8Array(nextPageToken ?? []);
  } while (token.length > 0);
  return false;
}
