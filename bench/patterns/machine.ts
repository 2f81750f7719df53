import { readdirSync, readFileSync } from 'node:fs';
import { readCpu } from '../cpu.ts';
import type { CpuReading } from '../cpu.ts';
import { availableParallelism } from 'node:os';

export interface MachineReading {
  machine: CpuReading;
  /** CPU time of the benchmark and all that it has started, the dead among them. NaN where that cannot be read. */
  oursMs: number;
}

/** In percent of the machine. */
export interface MachineUse {
  busyPct: number;
  /** What others on this machine took; NaN where that cannot be read. */
  foreignPct: number;
  /** What its host gave to other machines. */
  stealPct: number;
}

/** USER_HZ is 100 on every Linux that Node runs on. */
const TICK_MS = 10;

export function readMachine(): MachineReading {
  return { machine: readCpu({}), oursMs: process.platform === 'linux' ? processGroupMs() : Number.NaN };
}

export function useBetween(before: MachineReading, after: MachineReading): MachineUse {
  const totalMs = (after.machine.atMs - before.machine.atMs) * availableParallelism();
  const busyMs = after.machine.busyMs - before.machine.busyMs;
  return {
    busyPct: (100 * busyMs) / totalMs,
    foreignPct: (100 * (busyMs - (after.oursMs - before.oursMs))) / totalMs,
    stealPct: (100 * (after.machine.stealMs - before.machine.stealMs)) / totalMs,
  };
}

/** Processes come and go here: what the dead have used is with the parent that has waited for them. */
function processGroupMs(): number {
  const own = statOf('self')?.group;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(statOf)
    .reduce((sum, stat) => sum + (stat !== undefined && stat.group === own ? stat.ms : 0), 0);
}

function statOf(pid: string): { group: number; ms: number } | undefined {
  try {
    // The second field is the command in parentheses and may itself contain spaces.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ').map(Number) ?? [];
    const [user = 0, system = 0, userOfDead = 0, systemOfDead = 0] = fields.slice(11, 15);
    return { group: fields[2] ?? 0, ms: (user + system + userOfDead + systemOfDead) * TICK_MS };
  } catch {
    // Gone between the listing and the reading.
    return undefined;
  }
}
