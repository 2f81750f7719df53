import type { LoadedDataConverter } from '@temporalio/common';
import { decodeFirst } from '../common/decode-payload.ts';
import { isClose } from '../common/history-pages.ts';
import type { HistoryEvent } from '../common/history-pages.ts';
import type { AgentNodeInput, Lease, NodeActivities, ProbeResult } from '../workflows/node-contract.ts';
import { emptyNode, foldNode, nodeEntryOf } from '../workflows/node-state.ts';
import type { NodeState } from '../workflows/node-state.ts';

/** Projects the history of one Temporal run of a node's workflow; what its events mean is the reducer's to say. */
export interface NodeProjection {
  /** Undefined until the first event was folded, and once the node is forgotten. */
  state: () => NodeState | undefined;
  /** The activity that is the lease of an instance, while it has one. */
  leaseOf: (instanceId: string) => { activityId: string; runId: string } | undefined;
  /** The node goes on in another Temporal run. */
  hasNextRun: () => boolean;
  fold: (event: HistoryEvent) => Promise<void>;
}

export function createNodeProjection(node: string, converter: LoadedDataConverter | undefined): NodeProjection {
  let state: NodeState | undefined;
  let runId = '';
  let hasNextRun = false;
  /** By the event that scheduled them. */
  const leases = new Map<string, { activityId: string; instanceId: string }>();

  function endLease(scheduledEventId: unknown): void {
    leases.delete(String(scheduledEventId));
  }

  return {
    state: () => state,
    leaseOf: (instanceId) => {
      const lease = [...leases.values()].findLast((one) => one.instanceId === instanceId);
      return lease && { activityId: lease.activityId, runId };
    },
    hasNextRun: () => hasNextRun,
    fold: async (event) => {
      const started = event.workflowExecutionStartedEventAttributes;
      if (started) {
        runId = started.originalExecutionRunId ?? '';
        const input = await decodeFirst<AgentNodeInput>(started.input, converter);
        state = input?.state ?? emptyNode(node);
        return;
      }
      if (!state) return;
      const signal = event.workflowExecutionSignaledEventAttributes;
      if (signal) {
        const entry = nodeEntryOf(signal.signalName ?? '', await decodeFirst(signal.input, converter));
        if (entry) foldNode(state, entry);
        return;
      }
      const scheduled = event.activityTaskScheduledEventAttributes;
      if (scheduled) {
        if ((scheduled.activityType?.name as keyof NodeActivities | undefined) !== 'holdLease') return;
        const lease = await decodeFirst<Lease>(scheduled.input, converter);
        if (!lease) return;
        const { instanceId } = lease;
        leases.set(String(event.eventId), { activityId: scheduled.activityId ?? '', instanceId });
        return;
      }
      const completed = event.activityTaskCompletedEventAttributes;
      if (completed) {
        const result = await decodeFirst<Partial<ProbeResult>>(completed.result, converter);
        if (result?.registrations !== undefined) foldNode(state, { kind: 'probed', result: result as ProbeResult });
        return;
      }
      const over =
        event.activityTaskTimedOutEventAttributes ??
        event.activityTaskCanceledEventAttributes ??
        event.activityTaskFailedEventAttributes;
      if (over) return endLease(over.scheduledEventId);
      if (event.workflowExecutionContinuedAsNewEventAttributes) {
        hasNextRun = true;
        return;
      }
      if (isClose(event)) state = undefined;
    },
  };
}
