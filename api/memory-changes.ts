import type { z } from 'zod';
import { mapLimited } from '../common/map-limited.ts';
import type { MemoryFeed } from '../memory/feed.ts';
import { TooManyFollowed } from '../memory/follower.ts';
import { matchesGlob } from '../memory/glob.ts';
import type { Memories, Wanted } from '../memory/memories.ts';
import type { MemoryName } from '../workflows/memory-contract.ts';
import type { MemoryChange } from '../workflows/memory-state.ts';
import type { MemoryEventFilter, memoryEvent } from './memory-schemas.ts';
import { memoryEventView } from './memory-view.ts';
import { tooManyStreams } from './stream-slots.ts';

export type MemoryEvent = z.infer<typeof memoryEvent>;

/** The changes of memories as clients ask for them. */
export interface MemoryChanges {
  /** Those that are kept, oldest first; the newest if they are more. */
  history: (filter: MemoryEventFilter, limit: number) => Promise<MemoryEvent[]>;
  /**
   * As they happen, from the moment of the first part on, until the signal aborts; a part is empty when nothing has
   * happened for so long. Ends for who is so slow that too much waits for it.
   */
  follow: (
    filter: MemoryEventFilter,
    options: { idleMs: number; signal: AbortSignal },
  ) => AsyncGenerator<MemoryEvent[], void, undefined>;
}

const MAX_WAITING = 1_000;
const MAX_WAITING_BYTES = 8 * 1024 * 1024;
const PARALLEL_READS = 20;

export function createMemoryChanges(memories: Memories, feed: MemoryFeed): MemoryChanges {
  /** Undefined: it may be any. */
  function memoryOf({ scope, scope_id }: MemoryEventFilter): MemoryName | undefined {
    if (scope === 'global') return { scope, scopeId: 'global' };
    return scope && scope_id ? { scope, scopeId: scope_id } : undefined;
  }

  async function subscribe(
    filter: MemoryEventFilter,
    tell: (name: MemoryName, change: MemoryChange) => void,
  ): Promise<() => void> {
    const name = memoryOf(filter);
    const { since } = filter;
    const isWanted: Wanted | undefined = since === undefined ? undefined : ({ at }) => at > since;
    if (name) {
      const { ready, stop } = memories.watch(name, { onChange: (change) => tell(name, change) }, isWanted);
      await ready;
      return stop;
    }
    if (!isWanted) return feed.subscribe(tell);
    /** Held back until what is older was told; then the ids of what must not be told again. */
    let held: Parameters<typeof tell>[] | undefined = [];
    const told = new Set<string>();
    const tellNews: typeof tell = (of, change) => {
      if (held) held.push([of, change]);
      else if (!told.delete(change.id)) tell(of, change);
    };
    const stop = await feed.subscribe(tellNews);
    try {
      for (const [of, change] of await kept(filter)) {
        told.add(change.id);
        tell(of, change);
      }
    } catch (err) {
      stop();
      throw err;
    }
    const news = held;
    held = undefined;
    for (const [of, change] of news) tellNews(of, change);
    return stop;
  }

  async function kept(filter: MemoryEventFilter): Promise<[MemoryName, MemoryChange][]> {
    const { since = '' } = filter;
    const name = memoryOf(filter);
    const names = name ? [name] : (await memories.names()).filter((one) => isOf(one, filter));
    const found = await mapLimited(names, PARALLEL_READS, async (one) => {
      const changes = (await memories.read(one))?.changes ?? [];
      return changes.filter(({ at }) => at > since).map((change): [MemoryName, MemoryChange] => [one, change]);
    });
    return found.flat().toSorted(([, one], [, other]) => (one.at < other.at ? -1 : one.at > other.at ? 1 : 0));
  }

  return {
    history: async (filter, limit) => {
      const changes = (await kept(filter)).filter(([, { key }]) => isKeyWanted(filter, key));
      return changes.slice(-limit).map(([name, change]) => memoryEventView(name, change));
    },

    follow: async function* (filter, { idleMs, signal }) {
      const waiting: MemoryEvent[] = [];
      let isTooMuch = false;
      let wake = () => {};
      let bytes = 0;
      const take = () => {
        bytes = 0;
        return waiting.splice(0);
      };
      const stop = await subscribe(filter, (name, change) => {
        if (!isOf(name, filter) || !isKeyWanted(filter, change.key)) return;
        isTooMuch ||= waiting.length >= MAX_WAITING || bytes >= MAX_WAITING_BYTES;
        if (!isTooMuch) waiting.push(memoryEventView(name, change));
        bytes += change.bytes;
        wake();
      }).catch((err: unknown) => {
        throw err instanceof TooManyFollowed ? tooManyStreams() : err;
      });
      const onAbort = () => wake();
      signal.addEventListener('abort', onAbort);
      const news = () =>
        new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, idleMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      try {
        yield take();
        while (!signal.aborted && !isTooMuch) {
          if (waiting.length === 0) await news();
          if (!signal.aborted) yield take();
        }
      } finally {
        signal.removeEventListener('abort', onAbort);
        stop();
      }
    },
  };
}

function isOf(name: MemoryName, { scope, scope_id }: MemoryEventFilter): boolean {
  return (!scope || name.scope === scope) && (!scope_id || name.scopeId === scope_id);
}

function isKeyWanted({ patterns }: MemoryEventFilter, key: string): boolean {
  return !patterns || patterns.length === 0 || patterns.some((pattern) => matchesGlob(pattern, key));
}
