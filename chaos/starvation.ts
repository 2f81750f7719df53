import { setTimeout as sleep } from 'node:timers/promises';
import { disturbed, MACHINE } from './excuses.ts';
import { clock } from './ledger.ts';
import type { Ledger } from './ledger.ts';

const PERIOD_MS = 200;
const STARVED_MS = 1_000;

/**
 * A machine that is too busy looks like a fault: heartbeats are late, Temporal seems to be away. So Temporal is asked
 * something trivial all the time, past all proxies; whenever that takes too long although nothing was done to Temporal,
 * the ledger says that the machine was starved.
 */
export function watchMachine(ledger: Ledger, ping: () => Promise<unknown>): () => void {
  let isOver = false;
  const watch = async () => {
    while (!isOver) {
      const from = clock();
      await Promise.all([ping().catch(() => undefined), sleep(PERIOD_MS)]);
      const to = clock();
      if (to - from < STARVED_MS || disturbed(ledger.disturbances, ['temporal'], from, to)) continue;
      Object.assign(ledger.disturb({ fault: 'none', whats: [MACHINE], how: 'starved' }), { from, to });
    }
  };
  void watch();
  return () => {
    isOver = true;
  };
}
