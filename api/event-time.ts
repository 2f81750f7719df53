import type { temporal } from '@temporalio/proto';

/** A time of Temporal's, such as when it recorded an event, as ISO 8601. */
export function toIso(time: temporal.api.history.v1.IHistoryEvent['eventTime']): string {
  return new Date(Number(time?.seconds ?? 0) * 1000 + Math.floor((time?.nanos ?? 0) / 1e6)).toISOString();
}
