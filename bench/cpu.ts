import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';

/** Processes by the name they have in the report; several of one kind share a name. */
export type Pids = Record<string, number | number[]>;

/** CPU time since boot or start, in milliseconds. */
export interface CpuReading {
  atMs: number;
  /** User and system time of the whole machine. */
  busyMs: number;
  /** What the hypervisor gave to others; 0 where the system does not tell. */
  stealMs: number;
  processMs: Record<string, number>;
}

export interface CpuUse {
  processMs: Record<string, number>;
  /** CPU that no process of ours used, in percent of the machine. */
  foreignPct: number;
  stealPct: number;
}

/** A block with more than this is not counted, unless there is no other. */
const MAX_FOREIGN_PCT = 5;
const MAX_STEAL_PCT = 1;

/** USER_HZ is 100 on every Linux that Node runs on. */
const TICK_MS = 10;
const isLinux = process.platform === 'linux';

export function readCpu(pids: Pids): CpuReading {
  const msOf = isLinux ? processMsOf : readPs(Object.values(pids).flat());
  const sums = Object.entries(pids).map(([name, group]) => [
    name,
    [group].flat().reduce((sum, pid) => sum + msOf(pid), 0),
  ]);
  return {
    atMs: performance.now(),
    ...readMachine(),
    processMs: Object.fromEntries(sums) as Record<string, number>,
  };
}

export function cpuBetween(before: CpuReading, after: CpuReading): CpuUse {
  const names = Object.keys(after.processMs);
  const processMs = Object.fromEntries(
    names.map((name) => [name, (after.processMs[name] ?? 0) - (before.processMs[name] ?? 0)]),
  );
  const ours = Object.values(processMs).reduce((sum, ms) => sum + ms, 0);
  const machineMs = (after.atMs - before.atMs) * availableParallelism();
  return {
    processMs,
    foreignPct: (100 * Math.max(0, after.busyMs - before.busyMs - ours)) / machineMs,
    stealPct: (100 * (after.stealMs - before.stealMs)) / machineMs,
  };
}

export function isNoisy({ foreignPct, stealPct }: CpuUse): boolean {
  return foreignPct > MAX_FOREIGN_PCT || stealPct > MAX_STEAL_PCT;
}

function readMachine(): { busyMs: number; stealMs: number } {
  if (!isLinux) {
    const busyMs = cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys, 0);
    return { busyMs, stealMs: 0 };
  }
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] ?? '';
  const [user = 0, nice = 0, system = 0, , , , , steal = 0] = line.split(/\s+/).slice(1).map(Number);
  return { busyMs: (user + nice + system) * TICK_MS, stealMs: steal * TICK_MS };
}

/**
 * With its children, those that it has waited for included: PostgreSQL works in a process per connection. This
 * process is the parent of all the others, which are counted themselves.
 */
function processMsOf(pid: number): number {
  if (pid === process.pid) return (process.cpuUsage().user + process.cpuUsage().system) / 1000;
  return childrenOf(pid).reduce((sum, child) => sum + ownMsOf(child), ownMsOf(pid));
}

function ownMsOf(pid: number): number {
  // The second field is the command in parentheses and may itself contain spaces.
  const fields = readIfThere(`/proc/${pid}/stat`).split(') ', 2)[1]?.split(' ').slice(11, 15) ?? [];
  return fields.reduce((sum, ticks) => sum + Number(ticks) * TICK_MS, 0);
}

function childrenOf(pid: number): number[] {
  return readIfThere(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
}

/** A process may end between two looks at it. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function readPs(pids: number[]): (pid: number) => number {
  const output = execFileSync('ps', ['-o', 'pid=,time=', '-p', pids.join(',')], { encoding: 'utf8' });
  const msOf = new Map(
    output
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/, 2))
      .map(([pid, time = '']) => [
        Number(pid),
        1000 * time.split(':').reduce((sum, part) => 60 * sum + Number(part), 0),
      ]),
  );
  return (pid) => msOf.get(pid) ?? 0;
}
