import type { Disturbance } from './ledger.ts';

/**
 * How long a fault may show after all is well again: connections come back by their back-off, what could not be
 * reported is reported.
 */
export const GRACE_MS = 3_000;

/** What is disturbed when everything was: see `starvation.ts`. */
export const MACHINE = 'machine';

/** A disturbance of one of these (`worker-1#2`, or `worker` for every worker, `link` for every link) that touches this span
 * of time; or the machine was starved then. */
export function disturbed(
  disturbances: readonly Disturbance[],
  whats: readonly string[],
  from: number,
  to: number,
  graceMs = GRACE_MS,
): Disturbance | undefined {
  const isMeant = (what: string) => [...whats, MACHINE].some((one) => what === one || what.startsWith(`${one}-`));
  return disturbances.find((one) => one.from <= to && one.to + graceMs >= from && one.whats.some(isMeant));
}
