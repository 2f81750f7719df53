/** Remembers names for a while. */
export interface RecentSet {
  add: (name: string) => void;
  now: () => ReadonlySet<string>;
}

/** @param forMs how long each is remembered */
export function createRecentSet(forMs: number): RecentSet {
  const names = new Set<string>();
  return {
    add: (name) => {
      if (names.has(name)) return;
      names.add(name);
      setTimeout(() => names.delete(name), forMs).unref();
    },
    now: () => names,
  };
}
