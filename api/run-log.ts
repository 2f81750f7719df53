import { setMaxListeners } from 'node:events';
import { isSettled, MAX_RUN_EXECUTIONS } from './run-members.ts';
import type { RunLook } from './run-members.ts';
import { oldestFirst } from './run-sources.ts';
import type { RunEntry, RunSource, RunSources } from './run-sources.ts';

/** Some entries of a run's log; none where there was no news for so long. */
export interface RunPart {
  entries: RunEntry[];
  /** The logs of all executions are complete, and no further one has joined the run. */
  isComplete: boolean;
}

export interface RunFollowing {
  /** With those that are known already. */
  sources: RunSources;
  /** The look at visibility by which they are known. */
  look: RunLook;
  lookAgain: () => Promise<RunLook>;
  lookMs: number;
  idleMs: number;
  signal: AbortSignal;
}

const NO_NEWS: RunPart = { entries: [], isComplete: false };
const COMPLETE: RunPart = { entries: [], isComplete: true };

/**
 * The log of a run as it grows: what is there first, oldest first, then what comes, also of executions that join. Ends
 * after the part that is complete; without one when the signal aborts, or when the run has become too large, so that
 * who comes again is told. Throws as the logs do while what is there is read; later it sits that out.
 */
export async function* followRun(following: RunFollowing): AsyncGenerator<RunPart, void, undefined> {
  const { sources, lookAgain, lookMs, idleMs, signal } = following;
  // Every log that is followed listens to it.
  setMaxListeners(0, signal);
  let wake = () => {};
  signal.addEventListener('abort', () => wake(), { once: true });
  const news = (timeoutMs: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  /** Of each log one part is asked for at a time; it waits here until it is passed on. */
  const arrived: { source: RunSource; entries: RunEntry[] }[] = [];
  const failed = new Set<RunSource>();
  let pulling = 0;

  async function pull(source: RunSource): Promise<void> {
    if (source.isComplete) return;
    pulling += 1;
    try {
      const { entries } = await sources.next(source);
      arrived.push({ source, entries });
    } catch {
      // No watcher is free for one that has joined, or Temporal is away: it is asked again after the next look.
      failed.add(source);
    }
    pulling -= 1;
    wake();
  }

  let { look } = following;
  let nextLookAt = look.begunAtMs + lookMs;
  let isTooLarge = false;

  async function lookForMore(): Promise<void> {
    nextLookAt = Infinity;
    const again = [...failed];
    failed.clear();
    try {
      look = await lookAgain();
      again.push(...sources.join(look.executionIds));
    } catch {
      // An outage is sat out.
    }
    isTooLarge = sources.all().length > MAX_RUN_EXECUTIONS;
    if (!isTooLarge) for (const source of again) void pull(source);
    nextLookAt = Date.now() + lookMs;
    wake();
  }

  let saidAt = 0;
  let completeSince: number | undefined;
  try {
    for await (const entries of sources.catchUp()) {
      saidAt = Date.now();
      yield { entries, isComplete: false };
    }
    for (const source of sources.all()) void pull(source);
    while (!signal.aborted && !isTooLarge) {
      if (arrived.length > 0) {
        const parts = arrived.splice(0);
        const entries = parts.flatMap((part) => part.entries).toSorted(oldestFirst);
        if (entries.length > 0) {
          saidAt = Date.now();
          yield { entries, isComplete: false };
        }
        for (const { source } of parts) void pull(source);
        continue;
      }
      const now = Date.now();
      const isAllRead = sources.isComplete() && pulling === 0;
      completeSince = isAllRead ? (completeSince ?? now) : undefined;
      if (isAllRead && isSettled(look, lookMs, completeSince)) {
        yield COMPLETE;
        return;
      }
      if (now >= nextLookAt) void lookForMore();
      if (now >= saidAt + idleMs) {
        saidAt = now;
        yield NO_NEWS;
      } else await news(Math.min(saidAt + idleMs, nextLookAt) - now);
    }
  } finally {
    sources.close();
  }
}
