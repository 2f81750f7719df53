import type { LoadedDataConverter } from '@temporalio/common';
import type { temporal } from '@temporalio/proto';
import { decodeFirst } from '../common/decode-payload.ts';
import type {
  Activities,
  AgentCall,
  CancelNotice,
  ExecuteTargetInput,
  RedeliverWebhookInput,
  WebhookDelivery,
} from '../workflows/contract.ts';
import { releasePermitSignal } from '../workflows/permit-contract.ts';
import type { PermitActivities } from '../workflows/permit-contract.ts';
import type { Ending, OpenWait, Outcome, WebhookAttempt } from '../workflows/execution.ts';
import { entriesOfSignal } from '../workflows/signals.ts';
import { append, beginCall, cancelledEnding, initialState, interruptedAttempt, outcomeOf } from '../workflows/state.ts';
import type { ExecutionState, LogEntry } from '../workflows/state.ts';
import { WAIT_MEMO } from '../workflows/wait-memo.ts';
import { toIso } from './event-time.ts';
import type { LogRecord } from './log.ts';
import { createPendingTracker } from './pending.ts';
import type { ReadState } from './pending.ts';

type HistoryEvent = temporal.api.history.v1.IHistoryEvent;
type Payloads = temporal.api.common.v1.IPayloads;
type Modified = temporal.api.history.v1.IWorkflowPropertiesModifiedEventAttributes;
type Terminated = temporal.api.history.v1.IWorkflowExecutionTerminatedEventAttributes;
type Failure = temporal.api.failure.v1.IFailure;

/** So Temporal signs what it terminates of its own accord. */
const TEMPORAL_ITSELF = 'history-service';

/** By this name Temporal's SDKs record local activities. */
const LOCAL_ACTIVITY_MARKER = 'core_local_activity';

/**
 * Projects the history of one Temporal run onto the state of its execution. Events must come in order; what they
 * mean is decided by the reducer in `workflows/state.ts` alone.
 */
export interface Projection {
  /** Undefined until the first event was folded. */
  state: () => ReadState | undefined;
  isClosed: () => boolean;
  /** The Temporal run in which the execution goes on, once this one was left for its length. */
  nextRunId: () => string | undefined;
  /** Where the log begins: number of the last entry before this run, and the run that has it. */
  before: () => { sequence: number; runId?: string } | undefined;
  fold: (event: HistoryEvent) => Promise<void>;
}

export interface ProjectionOptions {
  /** What is known already of an execution whose first events are not to be read again. */
  from?: ExecutionState;
  /** Told of each entry of the log, in order. */
  onRecord?: (record: LogRecord) => void;
}

export function createProjection(
  executionId: string,
  converter: LoadedDataConverter | undefined,
  { from, onRecord }: ProjectionOptions = {},
): Projection {
  let isClosed = false;
  let nextRunId: string | undefined;
  const history = { events: 0, signals: 0, signalBytes: 0 };
  let before: { sequence: number; runId?: string } | undefined;
  let eventTime: HistoryEvent['eventTime'];
  const pending = createPendingTracker();
  let state = from && withPending(from);
  /** The clock of workflow code is the start of its current workflow task. */
  let workflowTime = '';
  /** When workflow code ran for the first time, which is when it called the agent. */
  let firstTaskTime: string | undefined;
  /** Deliveries by the event that scheduled them: the number of the last attempt there can be. */
  const deliveries = new Map<string, number>();

  const decode = <T>(payloads: Payloads | null | undefined) => decodeFirst<T>(payloads, converter);

  function withPending(known: ExecutionState): ReadState {
    return { ...known, pending: pending.now(), history: { ...history } };
  }

  const record = (sequence: number, entry: LogRecord['entry']) => onRecord?.({ sequence, at: toIso(eventTime), entry });
  const add = (into: ExecutionState, entry: LogEntry) => append(into, entry, record);

  async function started(event: HistoryEvent): Promise<void> {
    const { workflowType, input } = event.workflowExecutionStartedEventAttributes ?? {};
    if (workflowType?.name === 'redeliverWebhook') {
      const read = await decode<RedeliverWebhookInput>(input);
      state = read && withPending(read.state);
      before = read && { sequence: read.state.sequence, ...(read.previousRunId && { runId: read.previousRunId }) };
      return;
    }
    const read = await decode<ExecuteTargetInput>(input);
    if (!read) return;
    const { carried } = read;
    before = carried ? { sequence: carried.state.sequence, runId: carried.previousRunId } : { sequence: 0 };
    state = withPending(carried?.state ?? initialState(executionId, read));
    if (!carried) record(state.sequence, { kind: 'queued', target: state.target });
  }

  async function signaled(into: ExecutionState, event: HistoryEvent): Promise<void> {
    const { signalName, input } = event.workflowExecutionSignaledEventAttributes ?? {};
    history.signals += 1;
    history.signalBytes += input?.payloads?.[0]?.data?.length ?? 0;
    for (const entry of entriesOfSignal(signalName ?? '', await decode<unknown>(input))) add(into, entry);
  }

  async function activityScheduled(into: ExecutionState, event: HistoryEvent): Promise<void> {
    const { activityType, input } = event.activityTaskScheduledEventAttributes ?? {};
    const name = activityType?.name as keyof (Activities & PermitActivities) | undefined;
    switch (name) {
      case 'callAgent':
      case 'followAgentCall': {
        const call = goesOn(into) ? await decode<AgentCall>(input) : undefined;
        return beginCall(into, { ...call, at: workflowTime, lane: 'activity' }, record);
      }
      case 'deliverWebhook': {
        const delivery = await decode<WebhookDelivery>(input);
        if (!delivery) return;
        deliveries.set(String(event.eventId), delivery.attemptsBefore + delivery.maximumAttempts);
        if (!into.outcome) add(into, { kind: 'outcome', outcome: delivery.outcome });
        return;
      }
      case 'tellAgentCancelled': {
        const notice = into.outcome ? undefined : await decode<CancelNotice>(input);
        if (notice?.outcome) add(into, { kind: 'outcome', outcome: notice.outcome });
        else if (notice) {
          const { reason, graceMs = 0 } = notice;
          add(into, { kind: 'cancelling', ...(reason !== undefined && { reason }), graceMs });
        }
        return;
      }
      case 'requestPermit':
        return add(into, { kind: 'permit-requested', at: workflowTime });
      case 'awaitInstance':
      case 'findEnded':
      case 'beginAgentCall': // a local activity: it is recorded as a marker
      case undefined:
        return;
    }
  }

  async function memoChanged(into: ExecutionState, { upsertedMemo }: Modified): Promise<void> {
    const payload = upsertedMemo?.fields?.[WAIT_MEMO];
    const wait = payload && (await decode<OpenWait>({ payloads: [payload] }));
    if (wait) add(into, { kind: 'waiting', wait });
  }

  /** A local activity leaves a marker when it is over, in the same task in which it was called. */
  function markerRecorded(into: ExecutionState, event: HistoryEvent): void {
    if (event.markerRecordedEventAttributes?.markerName === LOCAL_ACTIVITY_MARKER)
      add(into, { kind: 'running', at: firstTaskTime ?? workflowTime, lane: 'local' });
  }

  async function deliveryEnded(
    into: ExecutionState,
    scheduledEventId: unknown,
    last: () => Promise<WebhookAttempt | undefined>,
  ): Promise<void> {
    const lastNumber = deliveries.get(String(scheduledEventId));
    if (lastNumber === undefined) return;
    // One that says nothing is given up only when no attempt is left.
    const attempt = (await last()) ?? interruptedAttempt(lastNumber);
    add(into, { kind: 'webhook-attempt', attempt });
  }

  const failureDetails = <T>(failure: Failure | null | undefined): Promise<T | undefined> =>
    decode<T>(failure?.applicationFailureInfo?.details);

  function end(into: ExecutionState, ending: Ending, at: string): void {
    add(into, { kind: 'outcome', outcome: outcomeOf(into, ending, at) });
  }

  async function closed(into: ExecutionState, event: HistoryEvent): Promise<void> {
    const at = toIso(event.eventTime);
    isClosed = true;
    if (event.workflowExecutionCompletedEventAttributes) {
      const outcome = into.outcome ?? (await decode<Outcome>(event.workflowExecutionCompletedEventAttributes.result));
      if (outcome) add(into, { kind: 'outcome', outcome });
    } else if (event.workflowExecutionFailedEventAttributes) {
      const { failure } = event.workflowExecutionFailedEventAttributes;
      const outcome = into.outcome ?? (await failureDetails<Outcome>(failure));
      if (outcome) add(into, { kind: 'outcome', outcome });
      else end(into, failed(`Execution failed: ${failure?.message ?? 'unknown reason'}`), at);
    } else if (event.workflowExecutionCanceledEventAttributes) {
      end(into, cancelledEnding(into), workflowTime);
    } else if (event.workflowExecutionTerminatedEventAttributes) {
      end(into, terminated(event.workflowExecutionTerminatedEventAttributes), at);
    } else if (event.workflowExecutionTimedOutEventAttributes) {
      end(into, { status: 'timeout', error: 'Workflow timeout', category: 'agent_timeout' }, at);
    } else {
      isClosed = false;
      nextRunId = event.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId ?? undefined;
    }
  }

  async function foldInto(event: HistoryEvent): Promise<void> {
    if (event.workflowExecutionStartedEventAttributes) return started(event);
    if (event.workflowTaskStartedEventAttributes) workflowTime = toIso(event.eventTime);
    if (event.workflowTaskCompletedEventAttributes) firstTaskTime ??= workflowTime;
    if (!state) return;
    if (event.markerRecordedEventAttributes) return markerRecorded(state, event);
    if (event.workflowExecutionSignaledEventAttributes) return signaled(state, event);
    const modified = event.workflowPropertiesModifiedEventAttributes;
    if (modified) return memoChanged(state, modified);
    const { signalName } = event.signalExternalWorkflowExecutionInitiatedEventAttributes ?? {};
    if (signalName === releasePermitSignal.name) return add(state, { kind: 'permit-released' });
    if (event.activityTaskScheduledEventAttributes) return activityScheduled(state, event);
    const { activityTaskCompletedEventAttributes: completed, activityTaskFailedEventAttributes: failure } = event;
    if (completed)
      return deliveryEnded(state, completed.scheduledEventId, () => decode<WebhookAttempt>(completed.result));
    if (failure)
      return deliveryEnded(state, failure.scheduledEventId, () => failureDetails<WebhookAttempt>(failure.failure));
    const timedOut = event.activityTaskTimedOutEventAttributes;
    if (timedOut) return deliveryEnded(state, timedOut.scheduledEventId, () => Promise.resolve(undefined));
    return closed(state, event);
  }

  return {
    state: () => state,
    isClosed: () => isClosed,
    nextRunId: () => nextRunId,
    before: () => before,
    fold: async (event) => {
      eventTime = event.eventTime;
      history.events = Number(event.eventId ?? 0);
      pending.fold(event);
      await foldInto(event);
      if (!state) return;
      state.pending = pending.now();
      state.history = { ...history };
    },
  };
}

/** Whether the next call of the agent may have more to tell than that it is made. Inputs may be large. */
function goesOn({ waiting, turn, checkpoint, lostInstances }: ExecutionState): boolean {
  return waiting !== undefined || turn !== undefined || checkpoint !== undefined || lostInstances !== undefined;
}

/** Temporal itself ends a workflow whose history has grown too large, for one. */
function terminated({ reason, identity }: Terminated): Ending {
  if (identity === TEMPORAL_ITSELF) return failed(`Terminated by Temporal: ${reason ?? 'unknown reason'}`);
  const error = reason ? `Terminated by an operator: ${reason}` : 'Terminated by an operator';
  return { status: 'cancelled', error, category: 'terminated' };
}

function failed(error: string): Ending {
  return { status: 'failed', error, category: 'internal_error' };
}
