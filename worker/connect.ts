import { setTimeout as sleep } from 'node:timers/promises';

const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 10_000;

/** Connects, and if Temporal is not there yet keeps trying: processes may start in any order. */
export async function connectWithPatience<T>(connect: () => Promise<T>, onFailure: (err: unknown) => void): Promise<T> {
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(2 * waitMs, MAX_WAIT_MS)) {
    try {
      return await connect();
    } catch (err) {
      onFailure(err);
      await sleep(waitMs);
    }
  }
}
