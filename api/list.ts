import type { Client, Connection } from '@temporalio/client';
import type { ExecutionStatus } from '../workflows/execution.ts';
import { ApiError } from './errors.ts';
import { isExecutionId } from './ids.ts';

export interface ListFilter {
  status?: ExecutionStatus;
  target?: string;
  runId?: string;
  /** Only those that were submitted without a parent. */
  isRoot?: boolean;
  /** Only what was started at this time or later. */
  since?: Date;
  limit: number;
  cursor?: string;
}

export interface ListPage {
  executionIds: string[];
  nextCursor: string | null;
}

interface Hit {
  executionId: string;
  startedAtMs: number;
}

/** Hits that one window may hold: they are all fetched and sorted here. */
const MAX_WINDOW = 2_000;
const FIRST_WINDOW_MS = 60_000;
const WINDOW_GROWTH = 16;
const DEADLINE_MS = 10_000;
const CLOCK_SKEW_MS = 60_000;

/**
 * Lists executions, newest first, from Temporal's visibility store. SQL stores sort by close time only and refuse
 * ORDER BY, so a page is cut out of a window of start times just wide enough to fill it, and sorted here. The cursor
 * is the start time and id of the last item: opaque, and stable while new executions arrive.
 */
export async function listExecutions(client: Client, filter: ListFilter): Promise<ListPage> {
  const { connection } = client as Client & { connection: Connection };
  return connection.withDeadline(Date.now() + DEADLINE_MS, async () => {
    // An execution that has gone on in another Temporal run is listed by that one.
    const conditions = [...conditionsOf(filter), `ExecutionStatus != "ContinuedAsNew"`];
    const before = filter.cursor === undefined ? undefined : parseCursor(filter.cursor);
    // Temporal cannot read times past the year 9999, and nothing starts later than its clock may be ahead of ours.
    const end = Math.min(before?.startedAtMs ?? Infinity, Date.now() + CLOCK_SKEW_MS);
    const earliest = Math.max(0, filter.since?.getTime() ?? 0);
    if (earliest > end) return { executionIds: [], nextCursor: null };
    const from = await windowStart(client, conditions, end, earliest, filter.limit);
    const hits = (await fetchWindow(client, conditions, from, end)).sort(newestFirst);
    const after = before ? hits.filter((hit) => newestFirst(before, hit) < 0) : hits;
    const page = after.slice(0, filter.limit);
    const last = page.at(-1);
    const isMore = after.length > page.length || (last !== undefined && from > earliest);
    return {
      executionIds: page.map((hit) => hit.executionId),
      nextCursor: isMore && last ? formatCursor(last) : null,
    };
  });
}

const MAX_PAST = 100;

/** How long the newest executions of a target took that succeeded, in milliseconds, the delivery of a webhook included. */
export async function pastDurations(client: Client, target: string): Promise<number[]> {
  const durations: number[] = [];
  const conditions = conditionsOf({ target, status: 'succeeded' });
  // SQL stores give the newest closed ones first.
  for await (const info of client.workflow.list({ query: conditions.join(' AND '), pageSize: MAX_PAST })) {
    if (info.closeTime) durations.push(info.closeTime.getTime() - info.startTime.getTime());
    if (durations.length >= MAX_PAST) break;
  }
  return durations;
}

/** The latest start time from which on there are enough hits, or the beginning of the list. */
async function windowStart(
  client: Client,
  conditions: string[],
  end: number,
  earliest: number,
  limit: number,
): Promise<number> {
  const count = async (from: number) => (await client.workflow.count(query(conditions, from, end))).count;
  let tooLate = end;
  let from = end;
  for (let width = FIRST_WINDOW_MS; from > earliest; width *= WINDOW_GROWTH) {
    from = Math.max(earliest, end - width);
    // Several hits may share the cursor's own millisecond, hence the margin.
    const hits = await count(from);
    if (hits > MAX_WINDOW) return bisect(count, from, tooLate, limit);
    if (hits > limit + 1) return from;
    tooLate = from;
  }
  return earliest;
}

/** Narrows a window that holds too many hits down to one that holds enough. */
async function bisect(count: (from: number) => Promise<number>, tooEarly: number, tooLate: number, limit: number) {
  let low = tooEarly;
  let high = tooLate;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const hits = await count(middle);
    if (hits > MAX_WINDOW) low = middle;
    else if (hits > limit + 1) return middle;
    else high = middle;
  }
  return low;
}

async function fetchWindow(client: Client, conditions: string[], from: number, end: number): Promise<Hit[]> {
  const hits: Hit[] = [];
  for await (const info of client.workflow.list({ query: query(conditions, from, end), pageSize: 1000 })) {
    hits.push({ executionId: info.workflowId, startedAtMs: info.startTime.getTime() });
  }
  return hits;
}

function query(conditions: string[], fromMs: number, endMs: number): string {
  // The end is inclusive of the whole millisecond that a cursor names.
  const range = [`StartTime >= "${toTime(fromMs)}"`, `StartTime < "${toTime(endMs + 1)}"`];
  return [...conditions, ...range].join(' AND ');
}

function toTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** Of a query for executions; a closed Temporal run of one that goes on in another is a hit of its own. */
export function conditionsOf({
  status,
  target,
  runId,
  isRoot = false,
}: Pick<ListFilter, 'status' | 'target' | 'runId' | 'isRoot'>): string[] {
  return [
    `WorkflowType = "executeTarget"`,
    ...(target === undefined ? [] : [`PerdureTarget = "${target}"`]),
    ...(runId === undefined ? [] : [`PerdureRunId = "${runId}"`]),
    ...(isRoot ? [`PerdureParentExecutionId IS NULL`] : []),
    ...(status === undefined ? [] : [statusCondition(status)]),
  ];
}

/**
 * `PerdureOutcome` is written where Temporal's close status does not tell the outcome (timeout, a cancel that the
 * agent reported) and where a workflow stays open after its outcome to deliver its webhook.
 */
function statusCondition(status: ExecutionStatus): string {
  switch (status) {
    case 'queued':
    case 'running':
    case 'waiting':
    case 'paused':
      return `ExecutionStatus = "Running" AND PerdureOutcome IS NULL`;
    case 'succeeded':
      return `(ExecutionStatus = "Completed" OR PerdureOutcome = "succeeded")`;
    case 'failed':
      return `((ExecutionStatus = "Failed" AND PerdureOutcome IS NULL) OR PerdureOutcome = "failed")`;
    case 'timeout':
      return `(ExecutionStatus = "TimedOut" OR PerdureOutcome = "timeout")`;
    case 'cancelled':
      return `(ExecutionStatus = "Canceled" OR ExecutionStatus = "Terminated" OR PerdureOutcome = "cancelled")`;
  }
}

function newestFirst(a: Hit, b: Hit): number {
  return b.startedAtMs - a.startedAtMs || (a.executionId < b.executionId ? 1 : a.executionId > b.executionId ? -1 : 0);
}

function formatCursor({ startedAtMs, executionId }: Hit): string {
  return Buffer.from(`${startedAtMs} ${executionId}`).toString('base64url');
}

function parseCursor(cursor: string): Hit {
  const [time = '', executionId = ''] = Buffer.from(cursor, 'base64url').toString('utf8').split(' ');
  if (!/^\d{1,15}$/.test(time) || !isExecutionId(executionId))
    throw new ApiError('invalid_request', 'cursor was not made by this API', {
      errors: [{ path: 'cursor', message: 'was not made by this API' }],
    });
  return { executionId, startedAtMs: Number(time) };
}
