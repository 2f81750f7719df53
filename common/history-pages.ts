import type { Connection } from '@temporalio/client';
import type { temporal } from '@temporalio/proto';

export type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

/** A page of the history of a workflow's newest run, or of the given one; the first page without a token. */
export type ReadPage = (
  workflowId: string,
  token: Uint8Array,
  options?: {
    /** Waits for the next event when there is no page yet, until it aborts. */
    follow?: AbortSignal;
    filter?: keyof typeof EVENT_FILTER;
    runId?: string;
  },
) => Promise<{ events: HistoryEvent[]; next: Uint8Array }>;

/** A shorter page is the last one so far. */
export const PAGE_EVENTS = 1000;
/** Temporal answers an idle long poll after 20 s. */
const LONG_POLL_DEADLINE_MS = 60_000;
const READ_DEADLINE_MS = 10_000;
/** HistoryEventFilterType of Temporal's API. */
const EVENT_FILTER = { all: 1, close: 2 } as const;

export function createPageReader({ connection, namespace }: { connection: Connection; namespace: string }): ReadPage {
  return async (workflowId, token, { follow, filter = 'all', runId } = {}) => {
    const page = () =>
      connection.withDeadline(Date.now() + (follow ? LONG_POLL_DEADLINE_MS : READ_DEADLINE_MS), () =>
        connection.workflowService.getWorkflowExecutionHistory({
          namespace,
          execution: { workflowId, ...(runId !== undefined && { runId }) },
          maximumPageSize: PAGE_EVENTS,
          waitNewEvent: follow !== undefined,
          historyEventFilterType: EVENT_FILTER[filter],
          nextPageToken: token,
        }),
      );
    const { history, nextPageToken } = await (follow ? abortable(connection, follow, page) : page());
    return { events: history?.events ?? [], next: nextPageToken ?? new Uint8Array() };
  };
}

/** The SDK leaves a listener on the signal of every call: each call gets a signal of its own. */
async function abortable<T>(connection: Connection, stop: AbortSignal, call: () => Promise<T>): Promise<T> {
  const own = new AbortController();
  const abort = () => own.abort();
  stop.addEventListener('abort', abort);
  try {
    return await connection.withAbortSignal(own.signal, call);
  } finally {
    stop.removeEventListener('abort', abort);
  }
}

/** The workflow has ended; one that goes on in another run has not. */
export function isClose(event: HistoryEvent): boolean {
  return Boolean(
    event.workflowExecutionCompletedEventAttributes ??
    event.workflowExecutionFailedEventAttributes ??
    event.workflowExecutionCanceledEventAttributes ??
    event.workflowExecutionTerminatedEventAttributes ??
    event.workflowExecutionTimedOutEventAttributes,
  );
}
