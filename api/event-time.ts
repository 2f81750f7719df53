import type { temporal } from '@temporalio/proto';

type Timestamp = temporal.api.history.v1.IHistoryEvent['eventTime'];

/** When Temporal recorded an event, ISO 8601. */
export function eventTimeOf({ eventTime }: { eventTime?: Timestamp }): string {
  return toIso(eventTime);
}

export function toIso(time: Timestamp): string {
  return new Date(Number(time?.seconds ?? 0) * 1000 + Math.floor((time?.nanos ?? 0) / 1e6)).toISOString();
}
