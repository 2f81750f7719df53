import type { Client, Connection } from '@temporalio/client';
import { conditionsOf } from './list.ts';

/** What visibility knew of a run at one moment. It lags a little behind the histories. */
export interface RunLook {
  begunAtMs: number;
  /** In the order in which they were started. No more than one past the most that a run may have to be followed. */
  executionIds: string[];
  /** When the last one closed; undefined while one is open. */
  closedAtMs: number | undefined;
}

/** Each of them is followed by a watcher of its own and stands in the cursor. */
export const MAX_RUN_EXECUTIONS = 200;
const DEADLINE_MS = 10_000;

interface Member {
  startedAtMs: number;
  closedAtMs: number;
}

/** Looks for the executions of a run. @param runId one that `RUN_ID` takes */
export async function lookAtRun(client: Client, runId: string): Promise<RunLook> {
  const { connection } = client as Client & { connection: Connection };
  const begunAtMs = Date.now();
  const members = new Map<string, Member>();
  await connection.withDeadline(begunAtMs + DEADLINE_MS, async () => {
    const query = conditionsOf({ runId }).join(' AND ');
    for await (const { workflowId, startTime, closeTime } of client.workflow.list({ query, pageSize: 1000 })) {
      // An execution that went on in another Temporal run is found once for each.
      const { startedAtMs, closedAtMs } = members.get(workflowId) ?? { startedAtMs: Infinity, closedAtMs: -Infinity };
      members.set(workflowId, {
        startedAtMs: Math.min(startedAtMs, startTime.getTime()),
        closedAtMs: Math.max(closedAtMs, closeTime?.getTime() ?? Infinity),
      });
      if (members.size > MAX_RUN_EXECUTIONS) break;
    }
  });
  const inOrder = [...members].toSorted(
    ([oneId, one], [otherId, other]) => one.startedAtMs - other.startedAtMs || (oneId < otherId ? -1 : 1),
  );
  const closedAtMs = Math.max(...inOrder.map(([, member]) => member.closedAtMs));
  return {
    begunAtMs,
    executionIds: inOrder.map(([id]) => id),
    closedAtMs: Number.isFinite(closedAtMs) ? closedAtMs : undefined,
  };
}

/** The same for all who follow a run in this process: they share what was looked up within so much time. */
export function createRunLooks(
  look: (runId: string) => Promise<RunLook>,
  maxAgeMs: number,
): (runId: string) => Promise<RunLook> {
  const recent = new Map<string, Promise<RunLook>>();
  return (runId) => {
    const known = recent.get(runId);
    if (known) return known;
    const asked = look(runId);
    recent.set(runId, asked);
    setTimeout(() => recent.delete(runId), maxAgeMs).unref();
    return asked;
  };
}

/**
 * Whether a run whose logs were complete is taken to be over after that look. An agent may have started another
 * execution just before its own ended, and visibility may not know of it yet: so much time has to lie between.
 * @param completeSinceMs when its logs were found to be complete, by this process's clock
 */
export function isSettled({ begunAtMs, closedAtMs }: RunLook, lagMs: number, completeSinceMs = Infinity): boolean {
  return Math.min(closedAtMs ?? Infinity, completeSinceMs) + lagMs <= begunAtMs;
}
