/** How long executions of a target have taken, of the newest ones that succeeded. Milliseconds. */
export interface PastDurations {
  count: number;
  p50Ms: number;
  p90Ms: number;
}

export interface Durations {
  /** What is known of a target, at once; what is not is asked for meanwhile. */
  of: (target: string) => PastDurations | undefined;
}

const FRESH_MS = 60_000;
const MAX_TARGETS = 1000;
/** Temporal's visibility is the slowest of its parts: never more than these at a time. */
const MAX_ASKING = 2;
/** Fewer say nothing. */
const MIN_COUNT = 5;

/** @param fetch gives the durations of some executions of a target, from Temporal's visibility */
export function createDurations(fetch: (target: string) => Promise<number[]>): Durations {
  const known = new Map<string, { askedAt: number; past: PastDurations | undefined }>();
  let asking = 0;

  async function ask(target: string): Promise<void> {
    const before = known.get(target);
    known.delete(target);
    known.set(target, { askedAt: Date.now(), past: before?.past });
    const [oldest] = known.keys();
    if (known.size > MAX_TARGETS && oldest !== undefined) known.delete(oldest);
    asking += 1;
    try {
      known.set(target, { askedAt: Date.now(), past: quantilesOf(await fetch(target)) });
    } catch {
      // An estimate is never worth an error: it is asked for again in a minute.
    } finally {
      asking -= 1;
    }
  }

  return {
    of: (target) => {
      const entry = known.get(target);
      if ((!entry || Date.now() - entry.askedAt > FRESH_MS) && asking < MAX_ASKING) void ask(target);
      return entry?.past;
    },
  };
}

function quantilesOf(durations: number[]): PastDurations | undefined {
  if (durations.length < MIN_COUNT) return undefined;
  const sorted = durations.toSorted((a, b) => a - b);
  const at = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
  return { count: sorted.length, p50Ms: at(0.5), p90Ms: at(0.9) };
}
