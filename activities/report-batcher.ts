import type { AgentReport } from '../workflows/execution.ts';

/** Reports waiting to be sent; past this the agent's stream is not read on until they are. */
const MAX_BATCH_BYTES = 256 * 1024;
const FIRST_INTERVAL_MS = 250;
const INTERVAL_GROWTH = 1.02;
const MAX_INTERVAL_MS = 30_000;

export interface ReportBatcher {
  /** Resolves at once while there is room, else after the batch in its way is out. */
  add: (report: AgentReport) => Promise<void>;
  /** Sends what is left. */
  end: () => Promise<void>;
}

/**
 * Turns the reports of a streaming agent into few signals. Progress is coalesced (the last value wins), everything
 * else is kept in order. The pause between batches grows by 2 % with each one, from 250 ms to 30 s, so an agent
 * that talks without end costs about 250 signals in its first 25 minutes and 120 per hour from then on.
 */
export function createReportBatcher(send: (reports: AgentReport[]) => Promise<void>): ReportBatcher {
  let pending: AgentReport[] = [];
  let pendingBytes = 0;
  let intervalMs = FIRST_INTERVAL_MS;
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> = Promise.resolve();

  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    const batch = pending;
    pending = [];
    pendingBytes = 0;
    if (batch.length === 0) return sending;
    intervalMs = Math.min(intervalMs * INTERVAL_GROWTH, MAX_INTERVAL_MS);
    sending = sending.then(() => send(batch));
    return sending;
  };

  return {
    add: async (report) => {
      if (coalesce(pending, report)) pendingBytes += Buffer.byteLength(JSON.stringify(report));
      if (pendingBytes >= MAX_BATCH_BYTES) return flush();
      // A failed send is kept in `sending` and reaches the caller at the next add or at the end.
      timer ??= setTimeout(() => void flush().catch(() => undefined), intervalMs);
    },
    end: flush,
  };
}

/** @returns whether the report takes room of its own */
function coalesce(pending: AgentReport[], report: AgentReport): boolean {
  const last = pending.at(-1);
  if (report.type === 'progress' && last?.type === 'progress') {
    pending[pending.length - 1] = { ...last, ...report };
    return false;
  }
  pending.push(report);
  return true;
}
