import type { Context } from '@temporalio/activity';
import { decodeFirst } from '../common/decode-payload.ts';
import type { HistoryEvent } from '../common/history-pages.ts';
import { agentCallbackSignal, agentReportSignal, pauseSignal, resumeSignal } from '../workflows/contract.ts';
import type { AgentCall } from '../workflows/contract.ts';
import type { AgentCallback, AgentReport, Json } from '../workflows/execution.ts';

type Payloads = Parameters<typeof decodeFirst>[0];

const PAGE_EVENTS = 200;

/** What the history has that an agent must not be called after, or not yet. */
export interface RecordedSignals {
  isCalledBack: boolean;
  /** It is paused, or was asked to cancel. */
  isHeld: boolean;
  /** The newest that the agent has put by. */
  checkpoint?: Json;
}

/**
 * Looks for it in the history of the workflow that this activity belongs to, from its newest event back to the one that
 * scheduled the activity. The workflow may not have got round to it: when Temporal comes back from a crash, the retry
 * of a call can be quicker than the task that would have cancelled it.
 */
export async function signalsSinceScheduled(context: Context, call: AgentCall): Promise<RecordedSignals> {
  const { client } = context;
  const turn = call.continuation?.turn ?? 1;
  const decode = <T>(payloads: Payloads) => decodeFirst<T>(payloads, client.options.loadedDataConverter);
  let isHeld: boolean | undefined;
  let checkpoint: Json | undefined;
  for await (const event of eventsSinceScheduled(context)) {
    if (event.workflowExecutionCancelRequestedEventAttributes) return { isCalledBack: false, isHeld: true };
    const { signalName, input } = event.workflowExecutionSignaledEventAttributes ?? {};
    switch (signalName ?? '') {
      case agentCallbackSignal.name: {
        const said = await decode<AgentCallback>(input);
        if ((said?.turn ?? turn) >= turn) return { isCalledBack: true, isHeld: false };
        break;
      }
      case agentReportSignal.name:
        checkpoint ??= checkpointIn((await decode<AgentReport[]>(input)) ?? []);
        break;
      case pauseSignal.name:
        isHeld ??= true;
        break;
      case resumeSignal.name:
        isHeld ??= false;
    }
  }
  return {
    isCalledBack: false,
    isHeld: isHeld ?? call.isHeld ?? false,
    ...(checkpoint !== undefined && { checkpoint }),
  };
}

/** From the newest on. */
async function* eventsSinceScheduled({ client, info }: Context): AsyncGenerator<HistoryEvent> {
  const { workflowId, runId } = info.workflowExecution ?? {};
  let token = new Uint8Array();
  do {
    const { history, nextPageToken } = await client.workflowService.getWorkflowExecutionHistoryReverse({
      namespace: info.namespace,
      execution: { workflowId, runId },
      maximumPageSize: PAGE_EVENTS,
      nextPageToken: token,
    });
    for (const event of history?.events ?? []) {
      if (event.activityTaskScheduledEventAttributes?.activityId === info.activityId) return;
      yield event;
    }
    token = new Uint8Array(nextPageToken ?? []);
  } while (token.length > 0);
}

function checkpointIn(reports: AgentReport[]): Json | undefined {
  const newest = reports.findLast(
    (report) => report.type === 'other' && report.name === 'checkpoint' && !report.endsTurn,
  );
  return newest?.type === 'other' ? (newest.data['data'] ?? null) : undefined;
}
