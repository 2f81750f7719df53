import type { LogPart, LogRecord } from './log.ts';
import { mapLimited } from '../common/map-limited.ts';
import { isNotFound } from '../common/temporal-errors.ts';

/** An entry of the log of one of a run's executions. */
export interface RunEntry {
  executionId: string;
  record: LogRecord;
  /** When it was recorded, but never before the entry before it: clocks of Temporal's hosts may differ. */
  time: string;
}

/** One execution of a run, and how far its log was read. */
export interface RunSource {
  readonly executionId: string;
  last: number;
  lastTime: string;
  log: ReturnType<OpenLog> | undefined;
  isComplete: boolean;
}

/** Begins to read the log of an execution after that entry. */
export type OpenLog = (executionId: string, after: number) => AsyncGenerator<LogPart, void, undefined>;

/** The logs of a run's executions, read part by part: no log is asked for a part before the one before was taken. */
export interface RunSources {
  /** @returns those of them that are new */
  join: (executionIds: readonly string[]) => RunSource[];
  all: () => RunSource[];
  isComplete: () => boolean;
  /** What is there, oldest first across all executions, as pieces; over when each log was read up to now. */
  catchUp: () => AsyncGenerator<RunEntry[], void, undefined>;
  /** The next part of one log, which for a log that is followed may be long in coming. */
  next: (source: RunSource) => Promise<{ entries: RunEntry[]; isCaughtUp: boolean }>;
  close: () => void;
}

/** Logs opened at the same time for one reader. */
const PARALLEL_READS = 32;

/** @param sent number of the last entry of each execution that is not to be read again */
export function createRunSources(open: OpenLog, sent: ReadonlyMap<string, number>): RunSources {
  const sources = new Map<string, RunSource>();
  let isClosed = false;

  async function next(source: RunSource): ReturnType<RunSources['next']> {
    const { executionId, last } = source;
    // A log that is opened now would be left open.
    if (isClosed) return { entries: [], isCaughtUp: true };
    try {
      source.log ??= open(executionId, last);
      const { done, value: part } = await source.log.next();
      if (done) {
        // A watcher was stopped before its log was complete: it is opened again where this one ended.
        source.log = undefined;
        return { entries: [], isCaughtUp: true };
      }
      source.isComplete = part.isComplete;
      if (part.isComplete) closeLog(source);
      return { entries: part.records.map((record) => entryOf(source, record)), isCaughtUp: part.isCaughtUp };
    } catch (err) {
      source.log = undefined;
      if (!isNotFound(err)) throw err;
      // Its retention is over, which visibility hears of later.
      source.isComplete = true;
      return { entries: [], isCaughtUp: true };
    }
  }

  async function* catchUp(): AsyncGenerator<RunEntry[], void, undefined> {
    let open = [...sources.values()].map((source) => ({ source, entries: [] as RunEntry[], isCaughtUp: false }));
    while (open.length > 0) {
      await mapLimited(open, PARALLEL_READS, async (one) => {
        if (one.entries.length === 0) Object.assign(one, await next(one.source));
      });
      // Of a log that has more to come nothing may be overtaken that is newer than what is known of it.
      const unfinished = open.filter(({ isCaughtUp }) => !isCaughtUp);
      const horizon = unfinished.flatMap(({ entries }) => entries.slice(-1)).toSorted(oldestFirst)[0];
      const isBlind = unfinished.some(({ entries }) => entries.length === 0);
      const ready = isBlind ? [] : open.flatMap(({ entries }) => takeUntil(entries, horizon)).toSorted(oldestFirst);
      open = open.filter(({ entries, isCaughtUp }) => entries.length > 0 || !isCaughtUp);
      if (ready.length > 0) yield ready;
    }
  }

  return {
    next,
    catchUp,
    join: (executionIds) =>
      executionIds.flatMap((executionId) => {
        if (sources.has(executionId)) return [];
        const last = sent.get(executionId) ?? 0;
        const source: RunSource = { executionId, last, lastTime: '', log: undefined, isComplete: false };
        sources.set(executionId, source);
        return [source];
      }),
    all: () => [...sources.values()],
    isComplete: () => [...sources.values()].every(({ isComplete }) => isComplete),
    close: () => {
      isClosed = true;
      for (const source of sources.values()) closeLog(source);
    },
  };
}

function closeLog(source: RunSource): void {
  void source.log?.return(undefined);
  source.log = undefined;
}

function entryOf(source: RunSource, record: LogRecord): RunEntry {
  source.last = record.sequence;
  source.lastTime = record.at > source.lastTime ? record.at : source.lastTime;
  return { executionId: source.executionId, record, time: source.lastTime };
}

/** By time, then execution, then number. */
export function oldestFirst(one: RunEntry, other: RunEntry): number {
  return (
    compare(one.time, other.time) ||
    compare(one.executionId, other.executionId) ||
    one.record.sequence - other.record.sequence
  );
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** Takes the entries out that are not newer; all without a horizon. */
function takeUntil(entries: RunEntry[], horizon: RunEntry | undefined): RunEntry[] {
  const end = horizon === undefined ? -1 : entries.findIndex((entry) => oldestFirst(entry, horizon) > 0);
  return entries.splice(0, end === -1 ? entries.length : end);
}
