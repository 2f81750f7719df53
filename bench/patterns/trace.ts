import { createHash } from 'node:crypto';
import { FAULTS, TASK_MS } from './settings.ts';

/** What a call of the agent meets. */
export type AgentFault = { kind: 'none' } | { kind: 'error' } | { kind: 'hang' } | { kind: 'crash'; afterMs: number };

export interface Outage {
  fromMs: number;
  toMs: number;
}

/** All that goes wrong during one load, fixed before it starts: the same for every pattern that meets it. */
export interface Trace {
  /** When the process in this role is killed, from the start of the load, in order. */
  kills: (role: string) => number[];
  outages: Outage[];
  /** @param call 1 for the first call of the execution */
  agentFault: (execution: number, call: number) => AgentFault;
  hangs: (execution: number) => boolean;
  /** Age at which a connection between client and service breaks. */
  cutAfterMs: (connection: number) => number;
  /** Longest that such a connection may be idle. */
  idleLimitMs: number;
  /** What the agent answers: nobody can know it without having asked. */
  answer: (execution: number) => string;
}

export interface TraceOptions {
  seed: number;
  /** Multiplies all rates and probabilities; 0: nothing ever goes wrong. */
  rate: number;
  loadMs: number;
}

export function createTrace({ seed, rate, loadMs }: TraceOptions): Trace {
  const draw = (...key: (string | number)[]) => unit([seed, ...key].join('/'));
  const hangs = (execution: number) => draw('hang', execution) < rate * FAULTS.agentHangProbability;

  const outages: Outage[] = [];
  for (const wantedMs of eventTimes('outage', FAULTS.outageEveryMs, loadMs - FAULTS.outageMs)) {
    // One that would begin during another begins when that one is over.
    const fromMs = Math.max(wantedMs, outages.at(-1)?.toMs ?? 0);
    outages.push({ fromMs, toMs: fromMs + FAULTS.outageMs });
  }

  /**
   * A Poisson process under the condition that it has its expected number of events (rounded, at least one): a short
   * run then shows the rate it claims. Events fall where the load is in full flow.
   */
  function eventTimes(name: string, everyMs: number, untilMs: number): number[] {
    if (rate === 0) return [];
    const count = Math.max(1, Math.round((rate * loadMs) / everyMs));
    const fromMs = Math.min(TASK_MS, untilMs);
    return Array.from({ length: count }, (_, i) => fromMs + draw(name, i) * (untilMs - fromMs)).toSorted(
      (a, b) => a - b,
    );
  }

  return {
    outages,
    hangs,
    kills: (role) => eventTimes(`kill/${role}`, FAULTS.killEveryMs, loadMs),
    agentFault: (execution, call) => {
      if (hangs(execution)) return { kind: 'hang' };
      const error = rate * FAULTS.agentErrorProbability;
      const crash = rate * FAULTS.agentCrashProbability;
      const drawn = draw('agent', execution, call);
      if (drawn < error) return { kind: 'error' };
      if (drawn < error + crash) return { kind: 'crash', afterMs: draw('crash', execution, call) * TASK_MS };
      return { kind: 'none' };
    },
    cutAfterMs: (connection) =>
      rate === 0 ? Infinity : (-Math.log(1 - draw('cut', connection)) * FAULTS.cutEveryMs) / rate,
    idleLimitMs: rate === 0 ? Infinity : FAULTS.idleLimitMs,
    answer: (execution) => digest(`${seed}/answer/${execution}`).toString('hex').slice(0, 16),
  };
}

/** A number in [0, 1) that depends on the text alone. */
function unit(text: string): number {
  return digest(text).readUIntBE(0, 6) / 2 ** 48;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
