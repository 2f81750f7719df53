import type { CellResult } from '../../bench/patterns/audit.ts';
import { countVerdicts } from '../../bench/patterns/classify.ts';
import { FAULTS } from '../../bench/patterns/settings.ts';

/** A cell at fault rate 1 in which two kills hit and nothing is odd, with changes. */
export function cell(changes: Partial<CellResult> = {}): CellResult {
  return {
    name: 'P1',
    level: { name: 'light', rate: 1 },
    submitted: 3,
    ledger: countVerdicts(['succeeded', 'succeeded', 'lost']),
    overheadsMs: [3, 4, 5],
    duplicateCalls: 0,
    duplicateWebhooks: 0,
    fired: [
      { kind: 'kill orchestrator', inFlight: 2, tookMs: 900 },
      { kind: 'kill orchestrator', inFlight: 3, tookMs: 1200 },
      { kind: 'outage', inFlight: 1, tookMs: 100 },
    ],
    planned: { 'kill orchestrator': 2, outage: 1 },
    agentFaults: { errors: 0, crashes: 0, hangs: 0 },
    cuts: { broken: 0, idle: 0 },
    refusedWebhooks: 0,
    failedSubmits: 0,
    accidents: 0,
    loadMs: 2 * FAULTS.killEveryMs,
    machine: { busyPct: 97, foreignPct: 3, stealPct: 1 },
    flaws: [],
    ...changes,
  };
}
