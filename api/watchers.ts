import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '@temporalio/client';
import type { LoadedDataConverter } from '@temporalio/common';
import type { temporal } from '@temporalio/proto';
import type { ExecutionState } from '../workflows/state.ts';
import { createProjection } from './history.ts';
import type { Projection } from './history.ts';
import { isAborted, isNotFound, isOutage } from './temporal-errors.ts';

export interface WatchedTemporal {
  connection: Connection;
  namespace: string;
  converter?: LoadedDataConverter;
}

/**
 * What is known of executions, as projections of their histories. At most one watcher per execution and process:
 * it reads the history once, then follows it by long poll, and every reader shares it. A watcher goes some seconds
 * after its last reader; past the limit, reads are one-shot.
 */
export interface Watchers {
  /** The state now; undefined when there is no such execution. Throws when Temporal cannot be reached. */
  read: (executionId: string) => Promise<ExecutionState | undefined>;
  /** A strong read of the newest run, past what is kept; `isClosed`: nothing more will be added to it. */
  readNow: (executionId: string) => Promise<{ state: ExecutionState; isClosed: boolean } | undefined>;
  /** Waits until the state is as wanted, the time is over or the reader leaves; resolves with the state then. */
  waitFor: (
    executionId: string,
    isWanted: (state: ExecutionState) => boolean,
    options: { timeoutMs: number; signal?: AbortSignal },
  ) => Promise<ExecutionState | undefined>;
  /**
   * Waits for the close of an execution that this process has just started and that has no webhook to deliver: one
   * long poll for one event, where following the whole history takes six.
   * @returns undefined when it has not closed in time, or closed in a way that its last event alone does not tell
   */
  waitForClose: (
    started: ExecutionState,
    options: { timeoutMs: number; signal?: AbortSignal },
  ) => Promise<ExecutionState | undefined>;
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

/** Temporal answers an idle long poll after 20 s. */
const LONG_POLL_DEADLINE_MS = 60_000;
const READ_DEADLINE_MS = 10_000;
const PAGE_EVENTS = 1000;
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2_000;
const CLOSED_LINGER_MS = 1_000;
/** Pause between reads of a reader that found all watchers taken. */
const POLL_WHEN_FULL_MS = 500;

/** HistoryEventFilterType of Temporal's API. */
const HISTORY_EVENT_FILTER = { all: 1, close: 2 } as const;

interface Watcher {
  projection: Projection;
  /** Caught up with the history and connected to it. */
  isCurrent: boolean;
  isGone: boolean;
  lastError: unknown;
  readers: number;
  listeners: Set<() => void>;
  linger: NodeJS.Timeout | undefined;
  stop: AbortController;
}

export function createWatchers(watched: WatchedTemporal, settings: WatcherSettings): Watchers {
  const { maxWatchers, lingerMs = 5_000, outageGraceMs = 2_000 } = settings;
  const { connection, namespace, converter } = watched;
  const watchers = new Map<string, Watcher>();

  /** Reads one page of a history; with `follow` it waits for the next event when there is no page yet. */
  async function readPage(
    executionId: string,
    token: Uint8Array,
    follow: AbortSignal | undefined,
    filter: 'all' | 'close' = 'all',
  ) {
    const page = () =>
      connection.withDeadline(Date.now() + (follow ? LONG_POLL_DEADLINE_MS : READ_DEADLINE_MS), () =>
        connection.workflowService.getWorkflowExecutionHistory({
          namespace,
          execution: { workflowId: executionId },
          maximumPageSize: PAGE_EVENTS,
          waitNewEvent: follow !== undefined,
          historyEventFilterType: HISTORY_EVENT_FILTER[filter],
          nextPageToken: token,
        }),
      );
    const { history, nextPageToken } = await (follow ? abortable(follow, page) : page());
    return { events: history?.events ?? [], next: nextPageToken ?? new Uint8Array() };
  }

  /** The SDK leaves a listener on the signal of every call: each call gets a signal of its own. */
  async function abortable<T>(stop: AbortSignal, call: () => Promise<T>): Promise<T> {
    const own = new AbortController();
    const abort = () => own.abort();
    stop.addEventListener('abort', abort);
    try {
      return await connection.withAbortSignal(own.signal, call);
    } finally {
      stop.removeEventListener('abort', abort);
    }
  }

  async function readNow(executionId: string): Promise<{ state: ExecutionState; isClosed: boolean } | undefined> {
    const projection = createProjection(executionId, converter);
    try {
      let token = new Uint8Array();
      do {
        const { events, next } = await readPage(executionId, token, undefined);
        for (const event of events) await projection.fold(event);
        token = new Uint8Array(next);
      } while (token.length > 0);
    } catch (err) {
      if (isNotFound(err)) return undefined;
      throw err;
    }
    const state = projection.state();
    return state && { state, isClosed: projection.isClosed() };
  }

  const readOnce = async (executionId: string): Promise<ExecutionState | undefined> =>
    (await readNow(executionId))?.state;

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
      projection: createProjection(executionId, converter),
      isCurrent: false,
      isGone: false,
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

  async function follow(executionId: string, watcher: Watcher): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (!watcher.stop.signal.aborted) {
      try {
        await followRun(executionId, watcher, () => (retryMs = FIRST_RETRY_MS));
        return;
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

  /** Follows a run to its close. After an outage it starts over: folding again gives the same numbers. */
  async function followRun(executionId: string, watcher: Watcher, onProgress: () => void): Promise<void> {
    const projection = createProjection(executionId, converter);
    let token = new Uint8Array();
    do {
      const { events, next } = await readPage(executionId, token, watcher.stop.signal);
      for (const event of events) await projection.fold(event);
      token = new Uint8Array(next);
      onProgress();
      // A short page is the last one so far: the next call waits for news.
      if (events.length >= PAGE_EVENTS && token.length > 0) continue;
      watcher.projection = projection;
      watcher.isCurrent = true;
      if (events.length > 0) notify(watcher);
    } while (token.length > 0);
    // Nothing more will come of this run, but a redelivery through another replica may have started a further one:
    // what is known is good for a moment, however many ask.
    clearTimeout(watcher.linger);
    watcher.linger = setTimeout(() => drop(executionId, watcher), CLOSED_LINGER_MS);
    watcher.linger.unref();
  }

  async function read(executionId: string): Promise<ExecutionState | undefined> {
    const watcher = acquire(executionId);
    if (!watcher) return readOnce(executionId);
    try {
      await changeUntil(watcher, () => watcher.isCurrent, outageGraceMs);
      if (watcher.isGone) return undefined;
      if (!watcher.isCurrent) throw watcher.lastError ?? outage();
      return snapshot(watcher.projection.state());
    } finally {
      release(executionId, watcher);
    }
  }

  async function waitFor(
    executionId: string,
    isWanted: (state: ExecutionState) => boolean,
    { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<ExecutionState | undefined> {
    const watcher = acquire(executionId);
    if (!watcher) return waitByPolling(executionId, isWanted, timeoutMs, signal);
    try {
      const isDone = () => {
        const state = watcher.isCurrent ? watcher.projection.state() : undefined;
        return state !== undefined && (watcher.projection.isClosed() || isWanted(state));
      };
      await changeUntil(watcher, isDone, timeoutMs, signal);
      if (!watcher.isCurrent) await changeUntil(watcher, () => watcher.isCurrent, outageGraceMs, signal);
      if (watcher.isGone) return undefined;
      if (!watcher.isCurrent) throw watcher.lastError ?? outage();
      return snapshot(watcher.projection.state());
    } finally {
      release(executionId, watcher);
    }
  }

  async function waitForClose(
    started: ExecutionState,
    { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<ExecutionState | undefined> {
    const stop = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])]);
    try {
      let token = new Uint8Array();
      for (;;) {
        const { events, next } = await readPage(started.executionId, token, stop, 'close');
        const [close] = events;
        token = new Uint8Array(next);
        if (!close && token.length > 0) continue;
        const projection = createProjection(started.executionId, converter, started);
        if (close && carriesOutcome(close)) await projection.fold(close);
        const state = projection.state();
        return state?.outcome && { ...state, startedAt: state.outcome.startedAt };
      }
    } catch (err) {
      // Whoever waits goes on by following the history, which sits outages out.
      if (isAborted(err) || isOutage(err)) return undefined;
      throw err;
    }
  }

  async function waitByPolling(
    executionId: string,
    isWanted: (state: ExecutionState) => boolean,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<ExecutionState | undefined> {
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
    readNow,
    waitFor,
    waitForClose,
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

/** How an execution was cancelled, terminated or timed out stands in earlier events. */
function carriesOutcome(close: temporal.api.history.v1.IHistoryEvent): boolean {
  return Boolean(close.workflowExecutionCompletedEventAttributes ?? close.workflowExecutionFailedEventAttributes);
}

/** Readers get what was so when they asked: the watcher folds on in the original. */
function snapshot(state: ExecutionState | undefined): ExecutionState | undefined {
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
