import { setTimeout as sleep } from 'node:timers/promises';
import type { FiredFault } from './audit.ts';
import type { Experience } from './classify.ts';
import type { PatternClient } from './client.ts';
import type { ReceivingSide } from './receiving-side.ts';
import { OBSERVED_MS } from './settings.ts';
import type { Supervised } from './supervised.ts';
import type { Trace } from './trace.ts';

export interface LoadOptions {
  executions: number;
  /** Submitted per second, at even distances, whatever the service does. */
  perSecond: number;
  trace: Trace;
  client: PatternClient;
  side: ReceivingSide;
  processes: Supervised[];
}

export interface LoadResult {
  submitted: number;
  experiences: Experience[];
  fired: FiredFault[];
}

/** Submits, lets the trace happen, and follows every execution until its client knows the outcome or gives up. */
export async function applyLoad(options: LoadOptions): Promise<LoadResult> {
  const { executions, perSecond, trace, client, side, processes } = options;
  const fired: FiredFault[] = [];
  let submitted = 0;
  let inFlight = 0;
  const startedAt = performance.now() + 100;
  const at = (ms: number) => sleep(Math.max(0, startedAt + ms - performance.now()));

  async function follow(execution: number): Promise<Experience> {
    const dueMs = (execution / perSecond) * 1000;
    const dueAt = startedAt + dueMs;
    await at(dueMs);
    submitted++;
    const id = await client.submit(execution);
    if (id === undefined) return { dueAt, accepted: false };
    inFlight++;
    const leftMs = dueAt + OBSERVED_MS - performance.now();
    const learned = await client.learn(execution, id, AbortSignal.timeout(Math.max(1, Math.round(leftMs))));
    inFlight--;
    return { dueAt, accepted: true, ...learned };
  }

  async function kill(process: Supervised): Promise<void> {
    for (const ms of trace.kills(process.role)) {
      await at(ms);
      // A process that is down cannot be killed: the crash is put off, not left out.
      await process.whenUp();
      const hit = inFlight;
      const tookMs = await process.crash();
      fired.push({ kind: `kill ${process.role}`, inFlight: hit, tookMs });
    }
  }

  async function breakReceivingSide(): Promise<void> {
    for (const { fromMs, toMs } of trace.outages) {
      await at(fromMs);
      fired.push({ kind: 'outage', inFlight, tookMs: toMs - fromMs });
      side.goDown();
      await at(toMs);
      side.comeUp();
    }
  }

  const following = Promise.all(Array.from({ length: executions }, (_, execution) => follow(execution)));
  const [experiences] = await Promise.all([following, breakReceivingSide(), ...processes.map(kill)]);
  return { submitted, experiences, fired };
}
