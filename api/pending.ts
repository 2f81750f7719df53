import type { temporal } from '@temporalio/proto';
import { clip } from '../common/clip.ts';
import { agentReportSignal } from '../workflows/contract.ts';
import type { Activities } from '../workflows/contract.ts';
import type { ExecutionState } from '../workflows/state.ts';
import { toIso } from './event-time.ts';

type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

/** Something that has been handed out by Temporal, or is about to be. `since` is ISO 8601. */
export interface PendingWork {
  since: string;
}

/** What an execution waits for, as far as its history tells. */
export interface Pending {
  /** A workflow task; `isStarted`: a worker has it. */
  task?: PendingWork & { isStarted: boolean };
  /** A call of the agent as an activity. */
  call?: PendingWork;
  delivery?: PendingWork;
  /** The first call, made within a workflow task, has failed, and the pause before the next one runs. */
  pause?: PendingWork & { until: string; error: string };
  /** The agent has answered 202. */
  accepted?: PendingWork;
  /** When the agent last reported something. */
  progressAt?: string;
}

const MAX_ERROR = 500;
const CALLS = new Set<string | null | undefined>(['callAgent', 'followAgentCall'] satisfies (keyof Activities)[]);
const DELIVERY: keyof Activities = 'deliverWebhook';

/** An execution as readers of its history know it. */
export interface ReadState extends ExecutionState {
  pending: Pending;
  history: HistorySize;
}

/** How much there is of the Temporal run at hand. `signalBytes`: what signals have brought. */
export interface HistorySize {
  events: number;
  signals: number;
  signalBytes: number;
}

/** Keeps up with a history, event by event. */
export function createPendingTracker(): { fold: (event: HistoryEvent) => void; now: () => Pending } {
  let task: Pending['task'];
  let accepted: PendingWork | undefined;
  let failure: string | undefined;
  let progressAt: string | undefined;
  let pause: Pending['pause'];
  /** By the event that scheduled them. */
  const activities = new Map<string, { what: 'call' | 'delivery'; since: string }>();

  function end(scheduledEventId: unknown, at: string): void {
    const ended = activities.get(String(scheduledEventId));
    if (ended?.what === 'call') accepted = { since: at };
    activities.delete(String(scheduledEventId));
  }

  return {
    fold: (event) => {
      const at = () => toIso(event.eventTime);
      const scheduled = event.activityTaskScheduledEventAttributes;
      if (scheduled) {
        pause = undefined;
        const name = scheduled.activityType?.name;
        const what = CALLS.has(name) ? 'call' : name === DELIVERY ? 'delivery' : undefined;
        if (what) activities.set(String(event.eventId), { what, since: at() });
        return;
      }
      const over =
        event.activityTaskCompletedEventAttributes ??
        event.activityTaskFailedEventAttributes ??
        event.activityTaskTimedOutEventAttributes ??
        event.activityTaskCanceledEventAttributes;
      if (over) return end(over.scheduledEventId, at());
      if (event.workflowExecutionSignaledEventAttributes?.signalName === agentReportSignal.name) progressAt = at();
      const marker = event.markerRecordedEventAttributes;
      if (marker) {
        failure = marker.failure?.message ?? undefined;
        if (failure === undefined) accepted ??= { since: at() };
        return;
      }
      const timer = event.timerStartedEventAttributes;
      if (timer && failure !== undefined) {
        const until = new Date(Date.parse(at()) + Number(timer.startToFireTimeout?.seconds ?? 0) * 1000).toISOString();
        pause = { since: at(), until, error: clip(failure, MAX_ERROR) };
        failure = undefined;
      }
      if (event.timerFiredEventAttributes) pause = undefined;
      if (event.workflowTaskScheduledEventAttributes) task = { since: at(), isStarted: false };
      else if (event.workflowTaskStartedEventAttributes) task = { since: at(), isStarted: true };
      else if (
        event.workflowTaskCompletedEventAttributes ??
        event.workflowTaskFailedEventAttributes ??
        event.workflowTaskTimedOutEventAttributes
      )
        task = undefined;
    },
    now: () => {
      const of = (wanted: 'call' | 'delivery') => [...activities.values()].find(({ what }) => what === wanted);
      const [call, delivery] = [of('call'), of('delivery')];
      return {
        ...(task && { task }),
        ...(call && { call: { since: call.since } }),
        ...(delivery && { delivery: { since: delivery.since } }),
        ...(pause && { pause }),
        ...(progressAt !== undefined && { progressAt }),
        ...(accepted && !call && { accepted }),
      };
    },
  };
}
