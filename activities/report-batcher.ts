import type { AgentReport } from '../workflows/execution.ts';

/** Reports waiting to be sent; past this the agent's stream is not read on until they are. */
const MAX_BATCH_BYTES = 256 * 1024;
const FIRST_INTERVAL_MS = 250;
const INTERVAL_GROWTH = 1.02;
const MAX_INTERVAL_MS = 30_000;
/** Past half a day they grow on, by the time that has gone by. */
const MAX_INTERVAL_SHARE = 1 / 1440;
const FIRST_ATTEMPT_BYTES = 8 * 1024 * 1024;

/**
 * What the frames of one attempt may bring into the history, which Temporal ends at 50 MiB. It halves with each
 * attempt: however many there are, all of them together stay below twice the first.
 */
export function maxReportedBytes(attempt: number): number {
  return Math.floor(FIRST_ATTEMPT_BYTES / 2 ** (attempt - 1));
}

export interface ReportBatcher {
  /** Resolves at once while there is room, else after the batch in its way is out. */
  add: (report: AgentReport) => Promise<void>;
  /** Sends what is left. */
  end: () => Promise<void>;
}

/**
 * Turns the reports of a streaming agent into few signals. Progress is coalesced (the last value wins), everything
 * else is kept in order. The pause between batches grows by 2 % with each one, from 250 ms to 30 s, and from half a day
 * on with the time, so an agent that talks without end costs about 250 signals in its first 25 minutes, 1,700 in half a
 * day and 9,000 in 80 days.
 * @param maxBytes past it only progress goes on, after one note that says so
 */
export function createReportBatcher(send: (reports: AgentReport[]) => Promise<void>, maxBytes: number): ReportBatcher {
  let pending: AgentReport[] = [];
  let pendingBytes = 0;
  let keptBytes = 0;
  let isFull = false;
  let intervalMs = FIRST_INTERVAL_MS;
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> = Promise.resolve();
  const startedAt = performance.now();

  const fit = (report: AgentReport): AgentReport | undefined => {
    if (report.type === 'progress') return report;
    if (isFull) return undefined;
    isFull = keptBytes + sizeOf(report) > maxBytes;
    return isFull ? { type: 'other', name: 'cut', data: { cut: true, max_bytes: maxBytes } } : report;
  };

  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    const batch = pending;
    pending = [];
    pendingBytes = 0;
    if (batch.length === 0) return sending;
    intervalMs = pauseAfter(intervalMs, performance.now() - startedAt);
    sending = sending.then(() => send(batch));
    return sending;
  };

  return {
    add: async (report) => {
      const kept = fit(report);
      if (!kept) return;
      if (coalesce(pending, kept)) {
        const bytes = sizeOf(kept);
        pendingBytes += bytes;
        keptBytes += bytes;
      }
      if (pendingBytes >= MAX_BATCH_BYTES) return flush();
      // A failed send is kept in `sending` and reaches the caller at the next add or at the end.
      timer ??= setTimeout(() => void flush().catch(() => undefined), intervalMs);
    },
    end: flush,
  };
}

/** How long to wait after a batch. All in ms; @param elapsedMs since the stream began */
export function pauseAfter(pauseBeforeMs: number, elapsedMs: number): number {
  return Math.min(pauseBeforeMs * INTERVAL_GROWTH, Math.max(MAX_INTERVAL_MS, elapsedMs * MAX_INTERVAL_SHARE));
}

/** What an entry of the log takes with every reader, beside what it says. */
const ENTRY_BYTES = 100;

function sizeOf(report: AgentReport): number {
  return ENTRY_BYTES + Buffer.byteLength(JSON.stringify(report));
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
