import type { Connection } from '@temporalio/client';
import type { LoadedDataConverter } from '@temporalio/common';
import { createPageReader, PAGE_EVENTS } from '../common/history-pages.ts';
import { isNotFound } from '../common/temporal-errors.ts';
import { memoryWorkflowId } from '../workflows/memory-contract.ts';
import type { MemoryName } from '../workflows/memory-contract.ts';
import type { MemoryChange, Written } from '../workflows/memory-state.ts';
import { createMemoryProjection } from './memory-projection.ts';
import type { MemoryProjection } from './memory-projection.ts';

export interface MemoryListener {
  onChange: (change: MemoryChange) => void;
  /** There is no such memory (any more); it may come to be. */
  onGone?: () => void;
}

/** A memory that is followed by long poll: what changes is known here at once, and asking costs nothing. */
export interface Followed {
  readonly name: MemoryName;
  projection: MemoryProjection | undefined;
  /** `current`: all that Temporal had when it was last heard of, which is now. */
  status: 'reading' | 'current' | 'absent';
  lastError: unknown;
  usedAt: number;
  listeners: Set<MemoryListener>;
  /** Who waits for the status to be known keeps it from being dropped. */
  waiting: Set<() => void>;
  /** Looks at once for a memory that was not there. */
  lookAgain: () => void;
}

/** As many memories are watched as may be followed. */
export class TooManyFollowed extends Error {}

/** Follows each memory at most once per process. */
export interface MemoryFollower {
  follow: (name: MemoryName) => Followed;
  /** Whether it can be followed for long. */
  hasRoomFor: (name: MemoryName) => boolean;
  names: () => MemoryName[];
  /** Told of each memory that somebody here has to do with from now on, every time. */
  onUsed: (listener: (name: MemoryName) => void) => () => void;
  close: () => void;
}

export interface FollowerDeps {
  connection: Connection;
  namespace: string;
  taskQueue: string;
  converter?: LoadedDataConverter;
  /** How long a memory is followed after it was last asked for. */
  lingerMs?: number;
  /** Told of every write that is read, however old: once at least. */
  onWritten: (id: string, written: Written) => void;
}

const RETRY_MS = 500;
/** How often is looked for a memory that is watched and not there. */
const LOOK_MS = 1_000;
/** Names come from clients, and Temporal serves so many long polls (1,200 per frontend unless told otherwise). */
const MAX_FOLLOWED = 500;
const MAX_FOLLOWED_BYTES = 256 * 1024 * 1024;

interface Following extends Followed {
  stop: AbortController;
  /** Revision up to which listeners know it; undefined before it was read for the first time. */
  told: number | undefined;
}

export function createMemoryFollower(deps: FollowerDeps): MemoryFollower {
  const { connection, namespace, taskQueue, converter, lingerMs = 10_000, onWritten } = deps;
  const readPage = createPageReader({ connection, namespace });
  const followed = new Map<string, Following>();
  const onUsed = new Set<(name: MemoryName) => void>();
  const idOf = (name: MemoryName) => memoryWorkflowId(name, taskQueue);

  function follow(name: MemoryName): Following {
    const one = followed.get(idOf(name)) ?? begin(name);
    one.usedAt = Date.now();
    for (const listener of onUsed) listener(name);
    return one;
  }

  function begin(name: MemoryName): Following {
    if (followed.size >= MAX_FOLLOWED || bytesFollowed() > MAX_FOLLOWED_BYTES)
      for (const one of followed.values()) if (isIdle(one)) drop(one);
    const one: Following = {
      name,
      projection: undefined,
      status: 'reading',
      lastError: undefined,
      usedAt: Date.now(),
      listeners: new Set(),
      waiting: new Set(),
      lookAgain: () => undefined,
      stop: new AbortController(),
      told: undefined,
    };
    followed.set(idOf(name), one);
    void run(one);
    return one;
  }

  function bytesFollowed(): number {
    return [...followed.values()].reduce((sum, { projection }) => sum + (projection?.state()?.bytes ?? 0), 0);
  }

  function isIdle({ listeners, waiting }: Following): boolean {
    return listeners.size === 0 && waiting.size === 0;
  }

  function drop(one: Following): void {
    if (followed.get(idOf(one.name)) === one) followed.delete(idOf(one.name));
    one.stop.abort();
    one.lookAgain();
    wake(one);
  }

  function wake({ waiting }: Following): void {
    for (const check of waiting) check();
  }

  async function run(one: Following): Promise<void> {
    const idle = setInterval(() => {
      if (isIdle(one) && Date.now() - one.usedAt > lingerMs) drop(one);
    }, lingerMs).unref();
    while (!one.stop.signal.aborted) {
      try {
        if (!(await followRun(one))) await beAbsent(one);
      } catch (err) {
        if (one.stop.signal.aborted) break;
        if (isNotFound(err)) await beAbsent(one);
        else await beCutOff(one, err);
      }
    }
    clearInterval(idle);
  }

  /** @returns whether the memory goes on in another run */
  async function followRun(one: Following): Promise<boolean> {
    const projection = createMemoryProjection(one.name, converter);
    const untold: { id: string; written: Written }[] = [];
    const show = () => {
      one.projection = projection;
      tell(one, projection);
      for (const { id, written } of untold.splice(0)) onWritten(id, written);
    };
    let token = new Uint8Array();
    do {
      const { events, next } = await readPage(idOf(one.name), token, { follow: one.stop.signal });
      for (const event of events) {
        const brought = await projection.fold(event);
        if (brought) untold.push(brought);
        // Nobody sees a memory go back: it is shown when it knows all that was told.
        if (one.told !== undefined && (projection.state()?.rev ?? 0) >= one.told) show();
      }
      token = new Uint8Array(next);
      if (events.length >= PAGE_EVENTS && token.length > 0) continue;
      one.told ??= projection.state()?.rev ?? 0;
      show();
      one.lastError = undefined;
      one.status = 'current';
      wake(one);
    } while (token.length > 0);
    return projection.hasNextRun();
  }

  /** Each change once; what another run has carried on is news when we were away. */
  function tell(one: Following, projection: MemoryProjection): void {
    for (const change of projection.state()?.changes ?? []) {
      if (change.rev <= (one.told ?? 0)) continue;
      one.told = change.rev;
      for (const { onChange } of one.listeners) onChange(change);
    }
  }

  async function beAbsent(one: Following): Promise<void> {
    one.projection = undefined;
    one.told = 0;
    one.lastError = undefined;
    one.status = 'absent';
    for (const { onGone } of one.listeners) onGone?.();
    wake(one);
    // Who asks the next time gets what is so then.
    if (isIdle(one)) return drop(one);
    await pause(one, LOOK_MS);
    if (!one.stop.signal.aborted) one.status = 'reading';
  }

  async function beCutOff(one: Following, err: unknown): Promise<void> {
    // Others may write what is not heard of here: what is known may be old.
    one.status = 'reading';
    one.lastError = err;
    wake(one);
    await pause(one, RETRY_MS);
  }

  async function pause(one: Following, ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms).unref();
      one.lookAgain = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    one.lookAgain = () => undefined;
  }

  return {
    follow,
    hasRoomFor: (name) =>
      followed.size < MAX_FOLLOWED || followed.has(idOf(name)) || [...followed.values()].some(isIdle),
    names: () => [...followed.values()].flatMap(({ name, status }) => (status === 'current' ? [name] : [])),
    onUsed: (listener) => {
      onUsed.add(listener);
      return () => onUsed.delete(listener);
    },
    close: () => {
      for (const one of followed.values()) drop(one);
    },
  };
}
