import { mapLimited } from '../common/map-limited.ts';
import { memoryWorkflowId } from '../workflows/memory-contract.ts';
import type { MemoryName } from '../workflows/memory-contract.ts';
import type { MemoryChange } from '../workflows/memory-state.ts';
import type { Memories } from './memories.ts';

export type FeedListener = (name: MemoryName, change: MemoryChange) => void;

/**
 * The changes of all memories, for who does not say which: AgentField's SDK opens one such stream per agent. All of a
 * process share it. A memory that this process has to do with is followed at once, another one when Temporal's
 * visibility tells of it; what it has kept of the time since then is caught up on.
 */
export interface MemoryFeed {
  /** Told of all changes once it resolves. @returns calls it off */
  subscribe: (listener: FeedListener) => Promise<() => void>;
}

/** Past it those are left that have not changed for the longest time. */
const MAX_FOLLOWED = 500;
/** Of those that were left and are not to be taken up again by a look. */
const MAX_LEFT = 20_000;
const PARALLEL_READS = 20;

export function createMemoryFeed(memories: Memories, { lookMs }: { lookMs: number }): MemoryFeed {
  const listeners = new Set<FeedListener>();
  /** Those that changed last come last. */
  const joined = new Map<string, Promise<() => void>>();
  const left = new Set<string>();
  let running: { began: Promise<void>; stop: () => void } | undefined;

  const keyOf = (name: MemoryName) => memoryWorkflowId(name, '');

  async function join(name: MemoryName, since: string): Promise<void> {
    const key = keyOf(name);
    if (joined.has(key)) return;
    left.delete(key);
    const listener = {
      onChange: (change: MemoryChange) => {
        const watch = joined.get(key);
        if (watch && joined.delete(key)) joined.set(key, watch);
        for (const tell of listeners) tell(name, change);
      },
      // A look finds it when it is there again.
      onGone: () => leave(key),
    };
    const watch = memories.watch(name, listener, ({ at }) => at >= since);
    joined.set(key, watch);
    for (const oldest of joined.keys()) {
      if (joined.size <= MAX_FOLLOWED) break;
      leave(oldest);
      if (left.size >= MAX_LEFT) left.clear();
      left.add(oldest);
    }
    try {
      await watch;
    } catch (err) {
      joined.delete(key);
      throw err;
    }
  }

  function leave(key: string): void {
    const watch = joined.get(key);
    joined.delete(key);
    watch?.then(
      (stop) => stop(),
      () => undefined,
    );
  }

  function start(): NonNullable<typeof running> {
    const since = new Date().toISOString();
    let isLooking = false;
    const look = async () => {
      if (isLooking) return;
      isLooking = true;
      try {
        const names = await memories.names();
        const found = names.filter((name) => !left.has(keyOf(name))).slice(0, MAX_FOLLOWED);
        // The newest last, as if it had changed last.
        await mapLimited(found.toReversed(), PARALLEL_READS, (name) => join(name, since));
      } finally {
        isLooking = false;
      }
    };
    const again = setInterval(() => void look().catch(() => undefined), lookMs).unref();
    const forget = memories.onFollowed((name) => void join(name, since).catch(() => undefined));
    const stop = () => {
      clearInterval(again);
      forget();
      for (const key of joined.keys()) leave(key);
      left.clear();
    };
    return { began: look(), stop };
  }

  return {
    subscribe: async (listener) => {
      listeners.add(listener);
      const callOff = () => {
        if (!listeners.delete(listener) || listeners.size > 0) return;
        running?.stop();
        running = undefined;
      };
      running ??= start();
      try {
        await running.began;
        return callOff;
      } catch (err) {
        callOff();
        throw err;
      }
    },
  };
}
