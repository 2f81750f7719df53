import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { mapLimited } from '../common/map-limited.ts';
import { endOfRun, placesOf } from '../runs/tree.ts';
import type { TreePlace } from '../runs/tree.ts';
import { TERMINAL_STATUSES } from '../workflows/execution.ts';
import type { TerminalStatus } from '../workflows/execution.ts';
import type { RunActivities, RunSummary } from '../workflows/run-contract.ts';
import { describe, executionsOf, statusOfClosed } from './run-executions.ts';

/** It is looked again after a tenth of the time that the run has taken, within these. */
const MIN_PAUSE_MS = 100;
const MAX_PAUSE_MS = 10_000;
/** An execution that was written down and is not there after so long never will be. */
const START_LIMIT_MS = 20_000;
const PARALLEL_READS = 20;

/** Those that came before it were seen to have ended: they are only read again when there is hope that all have. */
function startingWith(executionId: string | undefined, places: TreePlace[]): TreePlace[] {
  const at = Math.max(
    0,
    places.findIndex((place) => place.executionId === executionId),
  );
  return [...places.slice(at), ...places.slice(0, at)];
}

/** How an execution has ended. */
interface End {
  status: TerminalStatus;
  startedAtMs: number;
  closedAtMs: number;
}

export const awaitRunEnd: RunActivities['awaitRunEnd'] = async ({ runId, rosterId, executionId }) => {
  const { client, info, heartbeat } = Context.current();
  const waitedMs = Date.now() - info.scheduledTimestampMs;
  /** One that was open when it was looked last: while it is, nothing else has to be read. */
  const [blocking] = (info.heartbeatDetails as string[] | undefined) ?? [];
  const isOpen = async (id: string) => (await describe(client, id))?.status.name === 'RUNNING';
  if (blocking !== undefined && (await isOpen(blocking))) {
    heartbeat([blocking]);
    throw notYet(waitedMs);
  }

  const members = async () => {
    const known = await executionsOf(client, runId, rosterId);
    return known.some((member) => member.executionId === executionId) ? known : [{ executionId }, ...known];
  };
  const places = startingWith(blocking, placesOf(await members()));
  const ends = new Map<TreePlace, End>();
  let open: string | undefined;
  let isMissing = false;
  await mapLimited(places, PARALLEL_READS, async (place) => {
    heartbeat([]);
    if (open !== undefined) return;
    const end = await endOf(client, place.executionId);
    if (end === 'open') open = place.executionId;
    else if (end) ends.set(place, end);
    else isMissing = true;
  });
  heartbeat(open === undefined ? [] : [open]);
  if (open !== undefined || (isMissing && waitedMs < START_LIMIT_MS)) throw notYet(waitedMs);
  // One that ended while they were read may have begun others before.
  const seen = new Set(places.map((place) => place.executionId));
  if ((await members()).some((member) => !seen.has(member.executionId))) throw notYet(0);
  // Who asked to be told was refused, or not answered.
  const isAsked = [...ends.keys()].some((place) => place.executionId === executionId);
  return isAsked ? summaryOf(ends) : null;
};

/** @returns undefined where there is none */
async function endOf(client: Client, executionId: string): Promise<End | 'open' | undefined> {
  const described = await describe(client, executionId);
  if (!described) return undefined;
  if (described.status.name === 'RUNNING' || !described.closeTime) return 'open';
  return {
    status: await statusOfClosed(client, described),
    startedAtMs: described.startTime.getTime(),
    closedAtMs: described.closeTime.getTime(),
  };
}

function summaryOf(ends: Map<TreePlace, End>): RunSummary {
  const all = [...ends.values()];
  const count = (wanted: TerminalStatus) => all.filter(({ status }) => status === wanted).length;
  return {
    status: endOfRun([...ends].map(([{ depth }, { status }]) => ({ depth, status }))),
    executions: all.length,
    counts: Object.fromEntries(TERMINAL_STATUSES.map((status) => [status, count(status)])) as RunSummary['counts'],
    startedAt: new Date(Math.min(...all.map(({ startedAtMs }) => startedAtMs))).toISOString(),
    completedAt: new Date(Math.max(...all.map(({ closedAtMs }) => closedAtMs))).toISOString(),
  };
}

function notYet(waitedMs: number): ApplicationFailure {
  return ApplicationFailure.create({
    message: 'executions of the run are open',
    type: 'RunOpen',
    nextRetryDelay: Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, waitedMs / 10)),
  });
}
