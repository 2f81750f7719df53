import type { Disturbance, FactOf } from './ledger.ts';

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

/** A call that was on its way to the agent when something happened, or when its caller was stopped. */
export const ON_ITS_WAY_MS = 1_000;

/** Whether a call was taken up by a process that was stopped before it could make it, and made it when it came to. */
export function wasStopped(disturbances: readonly Disturbance[], { caller, at }: FactOf<'agent-called'>): boolean {
  return disturbances.some(
    ({ whats, how, to }) => whats.includes(caller) && how === 'stopped' && at >= to && at <= to + ON_ITS_WAY_MS,
  );
}
