import { setTimeout as sleep } from 'node:timers/promises';
import { PAGE_EVENTS } from '../common/history-pages.ts';
import type { Histories } from './histories.ts';
import { createLogWindow } from './log.ts';
import { createTurnstile } from './turnstile.ts';
import type { LogPart, LogRecord, LogWindow } from './log.ts';
import type { ReadState } from './pending.ts';
import type { Projection } from './projection.ts';
import { isAborted, isNotFound } from '../common/temporal-errors.ts';

/**
 * What is known of executions, as projections of their histories. At most one watcher per execution and process:
 * it reads the history once, then follows it by long poll, and every reader shares it. A watcher goes some seconds
 * after its last reader; past the limit, reads are one-shot.
 */
export interface Watchers {
  /** The state now; undefined when there is no such execution. Throws when Temporal cannot be reached. */
  read: (executionId: string) => Promise<ReadState | undefined>;
  /**
   * Waits until the state is as wanted, the time is over or the reader leaves; resolves with the state then, undefined
   * if there is no such execution or the reader left before it was read. Throws when Temporal cannot be reached.
   */
  waitFor: (
    executionId: string,
    isWanted: (state: ReadState) => boolean,
    options: { timeoutMs: number; signal?: AbortSignal },
  ) => Promise<ReadState | undefined>;
  /**
   * The log after that entry, as it grows, until it is complete or the signal aborts. The first part is what is there
   * already; one without records says that there was no news for so long. Throws `TooManyWatchers`, and when Temporal
   * cannot be reached at first; later it sits outages out.
   */
  followLog: (
    executionId: string,
    after: number,
    options: { idleMs: number; signal: AbortSignal },
  ) => AsyncGenerator<LogPart>;
  /** Drops what is kept of an execution whose next run we have just started ourselves. */
  forget: (executionId: string) => void;
  count: () => number;
  close: () => void;
}

export interface WatcherSettings {
  maxWatchers: number;
  /** How long a watcher outlives its last reader. */
  lingerMs?: number;
  /** How long a reader waits for a watcher that has lost Temporal. */
  outageGraceMs?: number;
}

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2_000;
const CLOSED_LINGER_MS = 1_000;
/** Pause between reads of a reader that found all watchers taken. */
const POLL_WHEN_FULL_MS = 500;

/** Readers that are so far behind that they read a history of their own: each holds a page of it. */
const MAX_REREADS = 16;

/** What one watcher keeps of its execution's log. */
const LOG_WINDOW_BYTES = 512 * 1024;

/** All watchers are taken by other executions. */
export class TooManyWatchers extends Error {}

interface Watcher {
  projection: Projection;
  log: LogWindow;
  /** Caught up with the history and connected to it. */
  isCurrent: boolean;
  isGone: boolean;
  /** Pages that were read of the history: it goes on. */
  pages: number;
  lastError: unknown;
  readers: number;
  listeners: Set<() => void>;
  linger: NodeJS.Timeout | undefined;
  stop: AbortController;
}

interface FreshRead {
  running: Promise<ReadState | undefined>;
  next?: Promise<ReadState | undefined>;
}

export function createWatchers(histories: Histories, settings: WatcherSettings): Watchers {
  const { maxWatchers, lingerMs = 5_000, outageGraceMs = 2_000 } = settings;
  const readOnce = async (executionId: string) => (await histories.readNow(executionId))?.state;
  const watchers = new Map<string, Watcher>();
  const fresh = new Map<string, FreshRead>();
  const rereads = createTurnstile(MAX_REREADS);

  function acquire(executionId: string): Watcher | undefined {
    const known = watchers.get(executionId);
    const watcher = known ?? (watchers.size < maxWatchers ? startWatcher(executionId) : undefined);
    if (!watcher) return undefined;
    watcher.readers += 1;
    if (!watcher.projection.isClosed()) clearTimeout(watcher.linger);
    return watcher;
  }

  function release(executionId: string, watcher: Watcher): void {
    watcher.readers -= 1;
    if (watcher.readers > 0) return;
    if (watchers.get(executionId) !== watcher) return drop(executionId, watcher);
    if (watcher.projection.isClosed()) return;
    watcher.linger = setTimeout(() => drop(executionId, watcher), lingerMs);
    watcher.linger.unref();
  }

  function drop(executionId: string, watcher: Watcher): void {
    if (watchers.get(executionId) === watcher) watchers.delete(executionId);
    clearTimeout(watcher.linger);
    watcher.stop.abort();
    notify(watcher);
  }

  function startWatcher(executionId: string): Watcher {
    const watcher: Watcher = {
      ...projectWithLog(executionId),
      isCurrent: false,
      isGone: false,
      pages: 0,
      lastError: undefined,
      readers: 0,
      listeners: new Set(),
      linger: undefined,
      stop: new AbortController(),
    };
    watchers.set(executionId, watcher);
    void follow(executionId, watcher);
    return watcher;
  }

  function projectWithLog(executionId: string): Pick<Watcher, 'projection' | 'log'> {
    const log = createLogWindow(LOG_WINDOW_BYTES);
    return { projection: histories.project(executionId, { onRecord: log.add }), log };
  }

  async function follow(executionId: string, watcher: Watcher): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (!watcher.stop.signal.aborted) {
      try {
        const onPage = () => {
          watcher.pages += 1;
          retryMs = FIRST_RETRY_MS;
        };
        if (await followRun(executionId, watcher, onPage)) return;
      } catch (err) {
        if (watcher.stop.signal.aborted || isAborted(err)) return;
        watcher.isCurrent = false;
        watcher.lastError = err;
        if (isNotFound(err)) {
          watcher.isGone = true;
          drop(executionId, watcher);
          return;
        }
        notify(watcher);
        await sleep(retryMs, undefined, { ref: false });
        retryMs = Math.min(2 * retryMs, MAX_RETRY_MS);
      }
    }
  }

  /**
   * Follows a run to its close. After an outage it starts over: folding again gives the same numbers.
   * @returns whether the execution ends with it; else it goes on in another run
   */
  async function followRun(executionId: string, watcher: Watcher, onPage: () => void): Promise<boolean> {
    const { projection, log } = projectWithLog(executionId);
    let token = new Uint8Array();
    do {
      const { events, next } = await histories.readPage(executionId, token, { follow: watcher.stop.signal });
      for (const event of events) await projection.fold(event);
      token = new Uint8Array(next);
      onPage();
      // A short page is the last one so far: the next call waits for news.
      if (events.length >= PAGE_EVENTS && token.length > 0) continue;
      watcher.projection = projection;
      watcher.log = log;
      watcher.isCurrent = true;
      if (events.length > 0) notify(watcher);
    } while (token.length > 0);
    if (projection.nextRunId() !== undefined) return false;
    // Nothing more will come of this run, but a redelivery through another replica may have started a further one:
    // what is known is good for a moment, however many ask.
    clearTimeout(watcher.linger);
    watcher.linger = setTimeout(() => drop(executionId, watcher), CLOSED_LINGER_MS);
    watcher.linger.unref();
    return true;
  }

  /** Resolves too when Temporal has been silent for so long, or nobody waits any more. A long history takes a while. */
  async function untilCurrent(watcher: Watcher, signal?: AbortSignal): Promise<void> {
    for (;;) {
      const { pages } = watcher;
      await changeUntil(watcher, () => watcher.isCurrent, outageGraceMs, signal);
      const isOver = watcher.isCurrent || watcher.isGone || watcher.stop.signal.aborted || signal?.aborted === true;
      if (isOver || watcher.pages === pages) return;
    }
  }

  async function read(executionId: string): Promise<ReadState | undefined> {
    const watcher = acquire(executionId);
    if (!watcher) return readOnce(executionId);
    try {
      await untilCurrent(watcher);
      if (watcher.isGone) return undefined;
      if (!watcher.isCurrent) throw watcher.lastError ?? outage();
      const state = snapshot(watcher.projection);
      return state?.webhook && !state.outcome ? await readFresh(executionId) : state;
    } finally {
      release(executionId, watcher);
    }
  }

  /**
   * A webhook can reach its receiver before the news of the outcome has reached this process, and who gets a webhook
   * and then asks must find what it said. So where one is due, a poll is a read of the history, shared by all who ask
   * while it runs. See docs/decisions/001-poll-after-webhook.md.
   */
  function readFresh(executionId: string): Promise<ReadState | undefined> {
    const entry = fresh.get(executionId);
    // A read that began before this request did may be too old for it: join the one after.
    if (entry) return (entry.next ??= entry.running.catch(() => undefined).then(() => readFresh(executionId)));
    const running = readOnce(executionId).finally(() => fresh.delete(executionId));
    fresh.set(executionId, { running });
    return running;
  }

  async function waitFor(
    executionId: string,
    isWanted: (state: ReadState) => boolean,
    { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<ReadState | undefined> {
    const watcher = acquire(executionId);
    if (!watcher) return waitByPolling(executionId, isWanted, timeoutMs, signal);
    try {
      const isDone = () => {
        const state = watcher.isCurrent ? watcher.projection.state() : undefined;
        return state !== undefined && (watcher.projection.isClosed() || isWanted(state));
      };
      await changeUntil(watcher, isDone, timeoutMs, signal);
      if (!watcher.isCurrent) await untilCurrent(watcher, signal);
      if (watcher.isGone) return undefined;
      if (!watcher.isCurrent) {
        // Nobody is there any more to be told of an outage.
        if (signal?.aborted) return undefined;
        throw watcher.lastError ?? outage();
      }
      return snapshot(watcher.projection);
    } finally {
      release(executionId, watcher);
    }
  }

  async function* followLog(
    executionId: string,
    after: number,
    { idleMs, signal }: { idleMs: number; signal: AbortSignal },
  ): AsyncGenerator<LogPart> {
    const watcher = acquire(executionId);
    if (!watcher) throw new TooManyWatchers();
    let last = after;
    const newest = () => watcher.projection.state()?.sequence ?? 0;
    const hasNews = () => watcher.isCurrent && newest() > last;
    const isComplete = () => watcher.isCurrent && watcher.projection.isClosed() && !hasNews();
    const isOver = () => signal.aborted || watcher.stop.signal.aborted;
    const part = (records: LogRecord[]): LogPart => {
      last = records.at(-1)?.sequence ?? last;
      return { records, isCaughtUp: !hasNews(), isComplete: isComplete() };
    };
    async function* older(): AsyncGenerator<LogPart> {
      const leave = await rereads.enter(signal);
      try {
        for await (const { records } of histories.readLog(executionId, last)) {
          if (isOver()) return;
          if (records.length > 0) yield part(records);
        }
      } finally {
        leave();
      }
    }
    try {
      await untilCurrent(watcher, signal);
      if (!watcher.isCurrent) throw watcher.lastError ?? outage();
      while (!isOver()) {
        const known = watcher.log.after(last, newest());
        if (known) yield part(known);
        else yield* older();
        if (isComplete()) return;
        await changeUntil(watcher, () => hasNews() || isComplete(), idleMs, signal);
      }
    } finally {
      release(executionId, watcher);
    }
  }

  async function waitByPolling(
    executionId: string,
    isWanted: (state: ReadState) => boolean,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<ReadState | undefined> {
    const until = Date.now() + timeoutMs;
    for (;;) {
      const state = await readOnce(executionId);
      const remainingMs = until - Date.now();
      if (!state || isWanted(state) || remainingMs <= 0 || signal?.aborted) return state;
      await sleep(Math.min(POLL_WHEN_FULL_MS, remainingMs));
    }
  }

  return {
    read,
    waitFor,
    followLog,
    forget: (executionId) => {
      const watcher = watchers.get(executionId);
      watchers.delete(executionId);
      // Those who read through it already go on to.
      if (watcher?.readers === 0) drop(executionId, watcher);
    },
    count: () => watchers.size,
    close: () => {
      for (const [executionId, watcher] of watchers) drop(executionId, watcher);
    },
  };
}

/** Readers get what was so when they asked: the watcher folds on in the original. */
function snapshot(projection: Projection): ReadState | undefined {
  const state = projection.state();
  return state && { ...state, webhookEvents: [...state.webhookEvents] };
}

function notify(watcher: Watcher): void {
  for (const listener of watcher.listeners) listener();
}

/** Resolves when the watcher is as wanted, is gone or was stopped, the time is over, or the reader has left. */
async function changeUntil(
  watcher: Watcher,
  isDone: () => boolean,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const isOver = () => watcher.isGone || watcher.stop.signal.aborted || signal?.aborted === true || isDone();
  if (isOver()) return;
  await new Promise<void>((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      watcher.listeners.delete(check);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const check = () => {
      if (isOver()) finish();
    };
    const timer = setTimeout(finish, timeoutMs);
    watcher.listeners.add(check);
    signal?.addEventListener('abort', finish, { once: true });
  });
}

function outage(): Error {
  return Object.assign(new Error('Temporal does not answer'), { code: 14 });
}
