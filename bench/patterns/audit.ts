import { VERDICTS } from './classify.ts';
import type { Ledger } from './classify.ts';
import type { MachineUse } from './machine.ts';
import type { PatternName } from './patterns.ts';
import type { Level } from './settings.ts';

export interface FiredFault {
  kind: string;
  /** Accepted executions whose client did not know the outcome at that moment. */
  inFlight: number;
  /** Until the process served again, or the receiving side was back. */
  tookMs: number;
}

/** One pattern under one fault rate: everything that was counted. */
export interface CellResult {
  name: PatternName;
  level: Level;
  submitted: number;
  ledger: Ledger;
  /** Of the executions whose client got the agent's answer in time. */
  overheadsMs: number[];
  /** Calls of the agent beyond the first that no failure of the agent explains. */
  duplicateCalls: number;
  /** Webhooks taken beyond the first of an execution. */
  duplicateWebhooks: number;
  fired: FiredFault[];
  /** How often each kind of fault was to happen. */
  planned: Record<string, number>;
  agentFaults: { errors: number; crashes: number; hangs: number };
  cuts: { broken: number; idle: number };
  refusedWebhooks: number;
  failedSubmits: number;
  /** Ends of processes that nobody had killed: what a fault elsewhere may do to them, too. */
  accidents: number;
  loadMs: number;
  machine: MachineUse;
  /** Why it may not be quoted; empty if it may. */
  flaws: string[];
}

/** Others that take more of the machine than this starve processes at times that nobody planned. */
const MAX_FOREIGN_PCT = 20;

/** A run whose books do not balance, or whose faults hit nothing, says nothing and must not be quoted. */
export function findFlaws(cell: Omit<CellResult, 'flaws'>, executions: number): string[] {
  const flaws: string[] = [];
  const { submitted, ledger, fired, planned } = cell;
  const counted = VERDICTS.reduce((sum, verdict) => sum + ledger[verdict], 0);
  if (submitted !== counted) flaws.push(`${submitted} submitted, but ${counted} accounted for`);
  if (submitted !== executions) flaws.push(`${submitted} submitted instead of ${executions}`);
  for (const [kind, wanted] of Object.entries(planned)) {
    const happened = fired.filter((fault) => fault.kind === kind);
    if (happened.length !== wanted) flaws.push(`${kind}: planned ${wanted}, happened ${happened.length}`);
    const idle = happened.filter(({ inFlight }) => inFlight === 0).length;
    if (idle > 0) flaws.push(`${kind}: ${idle} with nothing in flight`);
  }
  if (cell.level.rate === 0 && ledger.succeeded !== submitted)
    flaws.push(`${submitted - ledger.succeeded} executions failed without any fault`);
  if (cell.level.rate === 0 && cell.accidents > 0) flaws.push(`${cell.accidents} processes ended without any fault`);
  const { foreignPct, stealPct } = cell.machine;
  const othersPct = (Number.isNaN(foreignPct) ? 0 : foreignPct) + stealPct;
  if (othersPct > MAX_FOREIGN_PCT) flaws.push(`others took ${Math.round(othersPct)} % of the machine`);
  return flaws;
}
