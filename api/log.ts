import type { Target } from '../workflows/execution.ts';
import type { LogEntry } from '../workflows/state.ts';

/** One entry of an execution's log. `at` is when Temporal recorded it, ISO 8601. */
export interface LogRecord {
  sequence: number;
  at: string;
  entry: LogEntry | { kind: 'queued'; target: Target };
}

/** Some entries of a log, in order. */
export interface LogPart {
  records: LogRecord[];
  /** There are none after these now. */
  isCaughtUp: boolean;
  /** Nor will there be any, unless the webhook is sent again. */
  isComplete: boolean;
}

/**
 * The newest entries of one log, in memory, so that all who follow it share them. Older ones are read from the history
 * again.
 */
export interface LogWindow {
  add: (record: LogRecord) => void;
  /**
   * The entries after that number; undefined where the window does not reach back so far.
   * @param last number of the newest entry there is
   */
  after: (sequence: number, last: number) => LogRecord[] | undefined;
}

/** @param maxBytes of what agents have said; the newest entry is kept whatever its size */
export function createLogWindow(maxBytes: number): LogWindow {
  let records: LogRecord[] = [];
  let sizes: number[] = [];
  let bytes = 0;
  let dropped = 0;

  function drop(): void {
    while (bytes > maxBytes && dropped < records.length - 1) {
      bytes -= sizes[dropped] ?? 0;
      dropped += 1;
    }
    // Now and then, so that dropping costs little per entry.
    if (dropped <= records.length / 2) return;
    records = records.slice(dropped);
    sizes = sizes.slice(dropped);
    dropped = 0;
  }

  return {
    add: (record) => {
      const size = sizeOf(record);
      records.push(record);
      sizes.push(size);
      bytes += size;
      drop();
    },
    after: (sequence, last) => {
      if (sequence >= last) return [];
      const first = records[dropped]?.sequence ?? Infinity;
      return first > sequence + 1 ? undefined : records.slice(dropped + sequence + 1 - first);
    },
  };
}

const ENTRY_BYTES = 200;

/** Results are not counted: who has the log has the state, and they are in it. */
function sizeOf({ entry }: LogRecord): number {
  return ENTRY_BYTES + (entry.kind === 'report' ? JSON.stringify(entry.report).length : 0);
}
