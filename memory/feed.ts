import { mapLimited } from '../common/map-limited.ts';
import { memoryWorkflowId } from '../workflows/memory-contract.ts';
import type { MemoryName } from '../workflows/memory-contract.ts';
import type { MemoryChange } from '../workflows/memory-state.ts';
import type { Memories, MemoryWatch } from './memories.ts';

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
const MAX_FOLLOWED = 200;
const MAX_LEFT = 20_000;
const PARALLEL_READS = 20;

interface Member {
  watch: MemoryWatch | undefined;
  /** Revision of the last change that was told. */
  told: number;
}

export function createMemoryFeed(
  memories: Memories,
  { lookMs, maxFollowed = MAX_FOLLOWED }: { lookMs: number; maxFollowed?: number },
): MemoryFeed {
  const listeners = new Set<FeedListener>();
  /** Those that changed last come last. */
  const joined = new Map<string, Member>();
  /** What was told of those that were left: a look does not take them up again, who has to do with them does. */
  const left = new Map<string, number>();
  let running: { began: Promise<void>; stop: () => void } | undefined;

  const keyOf = (name: MemoryName) => memoryWorkflowId(name, '');

  async function join(name: MemoryName, since: string): Promise<void> {
    const key = keyOf(name);
    if (joined.has(key)) return;
    const known = left.get(key) ?? 0;
    left.delete(key);
    // It is in its place before it is followed, which is what we listen to ourselves.
    const member: Member = { watch: undefined, told: known };
    joined.set(key, member);
    const onChange = (change: MemoryChange) => {
      member.told = change.rev;
      joined.delete(key);
      joined.set(key, member);
      for (const tell of listeners) tell(name, change);
    };
    // A look finds it when it is there again.
    const onGone = () => leave(key);
    for (const [oldest, { told }] of joined) {
      if (joined.size <= maxFollowed) break;
      leave(oldest);
      if (left.size >= MAX_LEFT) left.clear();
      left.set(oldest, told);
    }
    try {
      member.watch = memories.watch(name, { onChange, onGone }, ({ at, rev }) => at >= since && rev > known);
      await member.watch.ready;
    } catch (err) {
      leave(key);
      throw err;
    }
  }

  function leave(key: string): void {
    joined.get(key)?.watch?.stop();
    joined.delete(key);
  }

  function start(): NonNullable<typeof running> {
    const since = new Date().toISOString();
    let isOver = false;
    let isLooking = false;
    const joinNow = async (name: MemoryName) => {
      if (!isOver) await join(name, since);
    };
    const look = async () => {
      if (isLooking) return;
      isLooking = true;
      try {
        const names = await memories.names();
        const found = names.filter((name) => !left.has(keyOf(name))).slice(0, maxFollowed);
        // The newest last, as if it had changed last.
        await mapLimited(found.toReversed(), PARALLEL_READS, joinNow);
      } finally {
        isLooking = false;
      }
    };
    const again = setInterval(() => void look().catch(() => undefined), lookMs).unref();
    const forget = memories.onUsed((name) => void joinNow(name).catch(() => undefined));
    const stop = () => {
      isOver = true;
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
