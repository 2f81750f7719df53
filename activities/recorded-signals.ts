import type { Context } from '@temporalio/activity';
import { decodeFirst } from '../common/decode-payload.ts';
import { agentCallbackSignal, pauseSignal, resumeSignal } from '../workflows/contract.ts';
import type { AgentCallback } from '../workflows/execution.ts';

const PAGE_EVENTS = 200;

/** What the history has that an agent must not be called after, or not yet. */
export interface RecordedSignals {
  isCalledBack: boolean;
  /** It is paused, or was asked to cancel. */
  isHeld: boolean;
}

/**
 * Looks for it in the history of the workflow that this activity belongs to, from its newest event back to the one that
 * scheduled the activity. The workflow may not have got round to it: when Temporal comes back from a crash, the retry
 * of a call can be quicker than the task that would have cancelled it.
 * @param turn in which the agent is to be called: the word that ended an earlier one does not count
 */
export async function signalsSinceScheduled({ client, info }: Context, turn: number): Promise<RecordedSignals> {
  const { workflowId, runId } = info.workflowExecution ?? {};
  let isHeld: boolean | undefined;
  let token = new Uint8Array();
  do {
    const { history, nextPageToken } = await client.workflowService.getWorkflowExecutionHistoryReverse({
      namespace: info.namespace,
      execution: { workflowId, runId },
      maximumPageSize: PAGE_EVENTS,
      nextPageToken: token,
    });
    for (const event of history?.events ?? []) {
      if (event.activityTaskScheduledEventAttributes?.activityId === info.activityId)
        return { isCalledBack: false, isHeld: isHeld ?? false };
      if (event.workflowExecutionCancelRequestedEventAttributes) return { isCalledBack: false, isHeld: true };
      const { signalName: name, input } = event.workflowExecutionSignaledEventAttributes ?? {};
      if (name === agentCallbackSignal.name) {
        const said = await decodeFirst<AgentCallback>(input, client.options.loadedDataConverter);
        if ((said?.turn ?? turn) >= turn) return { isCalledBack: true, isHeld: false };
      }
      if (name === pauseSignal.name) isHeld ??= true;
      if (name === resumeSignal.name) isHeld ??= false;
    }
    token = new Uint8Array(nextPageToken ?? []);
  } while (token.length > 0);
  return { isCalledBack: false, isHeld: isHeld ?? false };
}
