import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '@temporalio/client';
import type { LoadedDataConverter } from '@temporalio/common';
import { createPageReader, PAGE_EVENTS } from '../common/history-pages.ts';
import { isAborted, isNotFound } from '../common/temporal-errors.ts';
import { nodeWorkflowId } from '../workflows/node-contract.ts';
import type { NodeState } from '../workflows/node-state.ts';
import { createNodeProjection } from './node-projection.ts';
import type { NodeProjection } from './node-projection.ts';

/** What is known of a node now. */
export type KnownNode = Pick<NodeProjection, 'leaseOf'> & { state: NodeState };

/**
 * The agent nodes that have registered, as projections of the histories of their workflows. A node that was asked for
 * is followed by long poll for a while, so that what changes is known here at once and asking again costs nothing.
 */
export interface NodeRegistry {
  /** Undefined: there is no such node. Throws when Temporal cannot be reached and nothing is known yet. */
  find: (node: string) => Promise<KnownNode | undefined>;
  /** Told of every change from now on, until it is called off. */
  watch: (node: string, onChange: (state: NodeState | undefined) => void) => () => void;
  /** Those that are followed at the moment. */
  names: () => string[];
  /** What is known may be old: it is read again. For who has just changed it. */
  refresh: (node: string) => Promise<KnownNode | undefined>;
  close: () => void;
}

export interface NodeRegistryDeps {
  connection: Connection;
  namespace: string;
  taskQueue: string;
  converter?: LoadedDataConverter;
  /** How long a node is followed after it was last asked for. */
  lingerMs?: number;
}

/** How long it is remembered that a node is not there. */
const ABSENT_MS = 1_000;
const RETRY_MS = 500;
/** How long who asks waits for a first answer of Temporal. */
const FIRST_READ_MS = 5_000;
/** Names come from clients: what is kept for them is bounded. */
const MAX_FOLLOWED = 5_000;

interface Followed {
  projection: NodeProjection | undefined;
  isCurrent: boolean;
  isAbsent: boolean;
  lastError: unknown;
  usedAt: number;
  stop: AbortController;
  listeners: Set<(state: NodeState | undefined) => void>;
  waiting: Set<() => void>;
}

export function createNodeRegistry(deps: NodeRegistryDeps): NodeRegistry {
  const { connection, namespace, taskQueue, converter, lingerMs = 60_000 } = deps;
  const readPage = createPageReader({ connection, namespace });
  const followed = new Map<string, Followed>();

  function follow(node: string): Followed {
    const known = followed.get(node);
    if (known) {
      known.usedAt = Date.now();
      return known;
    }
    const one: Followed = {
      projection: undefined,
      isCurrent: false,
      isAbsent: false,
      lastError: undefined,
      usedAt: Date.now(),
      stop: new AbortController(),
      listeners: new Set(),
      waiting: new Set(),
    };
    followed.set(node, one);
    if (followed.size > MAX_FOLLOWED) dropIdle();
    void run(node, one);
    return one;
  }

  function drop(node: string, one: Followed): void {
    if (followed.get(node) === one) followed.delete(node);
    one.stop.abort();
    notify(one);
  }

  function dropIdle(): void {
    for (const [node, one] of followed) if (one.listeners.size === 0 && one.waiting.size === 0) drop(node, one);
  }

  async function run(node: string, one: Followed): Promise<void> {
    const idle = setInterval(() => {
      if (one.listeners.size === 0 && Date.now() - one.usedAt > lingerMs) drop(node, one);
    }, lingerMs).unref();
    try {
      while (!one.stop.signal.aborted) {
        try {
          if (!(await followRun(node, one))) break;
        } catch (err) {
          if (one.stop.signal.aborted || isAborted(err)) break;
          one.lastError = err;
          if (isNotFound(err)) {
            one.isAbsent = true;
            break;
          }
          // What is known stays good: an agent is not gone because Temporal is.
          notify(one);
          await sleep(RETRY_MS, undefined, { ref: false });
        }
      }
    } finally {
      clearInterval(idle);
      if (one.isAbsent) setTimeout(() => drop(node, one), ABSENT_MS).unref();
      notify(one);
    }
  }

  /** @returns whether the node goes on in another run */
  async function followRun(node: string, one: Followed): Promise<boolean> {
    const projection = createNodeProjection(node, converter);
    let token = new Uint8Array();
    do {
      const { events, next } = await readPage(nodeWorkflowId(node, taskQueue), token, { follow: one.stop.signal });
      for (const event of events) await projection.fold(event);
      token = new Uint8Array(next);
      if (events.length >= PAGE_EVENTS && token.length > 0) continue;
      one.projection = projection;
      one.isCurrent = true;
      if (events.length > 0) notify(one);
    } while (token.length > 0);
    if (projection.hasNextRun()) return true;
    one.isAbsent = true;
    return false;
  }

  function notify(one: Followed): void {
    for (const wake of one.waiting) wake();
    const state = stateOf(one);
    for (const listener of one.listeners) listener(state);
  }

  function stateOf({ isAbsent, projection }: Followed): NodeState | undefined {
    return isAbsent ? undefined : projection?.state();
  }

  async function find(node: string): Promise<KnownNode | undefined> {
    const one = follow(node);
    const isDone = () => one.isCurrent || one.isAbsent || one.lastError !== undefined || one.stop.signal.aborted;
    if (!isDone()) await changeOf(one, isDone);
    const state = stateOf(one);
    if (state && one.projection) return { state, leaseOf: one.projection.leaseOf };
    if (one.isAbsent) return undefined;
    throw one.lastError ?? Object.assign(new Error('Temporal does not answer'), { code: 14 });
  }

  async function changeOf(one: Followed, isDone: () => boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        one.waiting.delete(check);
        resolve();
      };
      const check = () => isDone() && finish();
      const timer = setTimeout(finish, FIRST_READ_MS);
      one.waiting.add(check);
    });
  }

  return {
    find,
    watch: (node, onChange) => {
      let one = follow(node);
      // One that is not there now may come to be: it is looked for again.
      const listener = (state: NodeState | undefined) => onChange(state);
      one.listeners.add(listener);
      const again = setInterval(() => {
        const current = follow(node);
        if (current === one) return;
        one.listeners.delete(listener);
        one = current;
        one.listeners.add(listener);
      }, ABSENT_MS).unref();
      return () => {
        clearInterval(again);
        one.listeners.delete(listener);
      };
    },
    names: () => [...followed].flatMap(([node, one]) => (stateOf(one) ? [node] : [])),
    refresh: (node) => {
      const known = followed.get(node);
      // Who follows it through this goes on to; who asks from now on gets what is so now.
      if (known?.listeners.size === 0) drop(node, known);
      else followed.delete(node);
      return find(node);
    },
    close: () => {
      for (const [node, one] of followed) drop(node, one);
    },
  };
}
