import type { temporal } from '@temporalio/proto';

export type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

/** What Temporal Cloud bills, as far as a history tells it. */
export interface ActionRule {
  what: string;
  rule: string;
  count: (events: readonly HistoryEvent[]) => number;
}

/** The marker by which the SDKs record a local activity. */
const LOCAL_ACTIVITY_MARKER = 'core_local_activity';

const countOf = (events: readonly HistoryEvent[], is: (event: HistoryEvent) => unknown) => events.filter(is).length;

export const ACTION_RULES: ActionRule[] = [
  {
    what: 'workflow started',
    rule: '1 for each WorkflowExecutionStarted; search attributes given at the start are free',
    count: (events) => countOf(events, (event) => event.workflowExecutionStartedEventAttributes),
  },
  {
    what: 'activity scheduled',
    rule: '1 for each ActivityTaskScheduled',
    count: (events) => countOf(events, (event) => event.activityTaskScheduledEventAttributes),
  },
  {
    what: 'activity retried',
    rule: '`attempt` of ActivityTaskStarted, less 1',
    count: (events) =>
      events.reduce((sum, event) => sum + Math.max(0, (event.activityTaskStartedEventAttributes?.attempt ?? 1) - 1), 0),
  },
  {
    what: 'local activities',
    rule: '1 for all `core_local_activity` markers of one workflow task',
    count: (events) => {
      const markers = events
        .map((event) => event.markerRecordedEventAttributes)
        .filter((marker) => marker?.markerName === LOCAL_ACTIVITY_MARKER);
      return new Set(markers.map((marker) => String(marker?.workflowTaskCompletedEventId))).size;
    },
  },
  {
    what: 'workflow task heartbeat',
    rule: '1 for each WorkflowTaskCompleted that is followed at once by the next WorkflowTaskScheduled: a local activity goes on',
    count: (events) =>
      events.filter(
        (event, i) => event.workflowTaskCompletedEventAttributes && events[i + 1]?.workflowTaskScheduledEventAttributes,
      ).length,
  },
  {
    what: 'signal',
    rule: '1 for each WorkflowExecutionSignaled',
    count: (events) => countOf(events, (event) => event.workflowExecutionSignaledEventAttributes),
  },
  {
    what: 'timer',
    rule: '1 for each TimerStarted, that of a wait with a limit included',
    count: (events) => countOf(events, (event) => event.timerStartedEventAttributes),
  },
  {
    what: 'search attributes',
    rule: '1 for each UpsertWorkflowSearchAttributes; those that a patch marker writes are counted too, to be on the safe side',
    count: (events) => countOf(events, (event) => event.upsertWorkflowSearchAttributesEventAttributes),
  },
  {
    what: 'update',
    rule: '1 for each WorkflowExecutionUpdateAccepted',
    count: (events) => countOf(events, (event) => event.workflowExecutionUpdateAcceptedEventAttributes),
  },
];

/** What no history shows, and what Perdure has of it. */
export const UNSEEN_ACTIONS =
  'Not in any history: heartbeats that reach the server (a call of an agent that stays open sends one every 5 s at most), ' +
  'queries (only reads with `Cache-Control: no-cache`), rejected updates (Perdure has none). Describe, history reads and ' +
  'long polls, lists and cancel requests are not billed.';

export function billableActions(events: readonly HistoryEvent[]): number {
  return ACTION_RULES.reduce((sum, { count }) => sum + count(events), 0);
}
