import { availableParallelism, totalmem } from 'node:os';
import type { CpuUse } from './cpu.ts';
import { isNoisy } from './cpu.ts';
import type { PeerSet } from './peers/peer.ts';
import type { Stand, StandOptions } from './processes.ts';
import type { SubjectName } from './subjects.ts';
import { median } from './statistics.ts';

export const SUITE_NAMES = [
  'cost',
  'open-loop',
  'shapes',
  'recover',
  'memory',
  'start-up',
  'long-poll',
  'streams',
  'pollers',
  'scale',
] as const;
export type SuiteName = (typeof SUITE_NAMES)[number];

/** What the command line asked for. */
export interface Plan {
  suites: SuiteName[];
  quick: boolean;
  withPeers: boolean;
  /** Unset: the suite's own number. */
  rounds: number | undefined;
  /** Length of a block of the cost suite, and its concurrencies and subjects. */
  seconds: number;
  concurrencies: number[];
  subjects: SubjectName[] | undefined;
  /** Where CPU profiles go, if they are wanted. */
  profiles: string | undefined;
  out: string | undefined;
}

export interface Context {
  plan: Plan;
  /** Each of these is stopped when the benchmark ends, however it ends. */
  startStand: (options?: StandOptions) => Promise<Stand>;
  startPeers: () => Promise<PeerSet>;
  /** For what else is started. */
  stopAtEnd: <T extends { stop: () => Promise<void> }>(part: T) => T;
  say: (line: string) => void;
}

/** Measures something, and gives its section of the report. */
export type Suite = (context: Context) => Promise<string>;

/** The lines every section begins with. */
export function factLines(serverVersion?: string): string[] {
  const options = process.argv.slice(2);
  const memoryGib = Math.round(totalmem() / 1024 ** 3);
  const command = ['npm run bench', ...(options.length > 0 ? ['--', ...options] : [])].join(' ');
  return [
    `- Date: ${new Date().toISOString().slice(0, 10)}`,
    `- Command: \`${command}\``,
    `- Machine: ${availableParallelism()} cores, ${memoryGib} GiB, ${process.platform} ${process.arch}, Node ${process.versions.node}`,
    ...(serverVersion === undefined
      ? []
      : [`- Temporal server: ${serverVersion}, development server on SQLite with the flags of \`temporal-dev.sh\``]),
  ];
}

export function noiseLine(uses: CpuUse[]): string {
  const noisy = uses.filter(isNoisy).length;
  const span = (values: number[]) => `${median(values).toFixed(1)} % (up to ${Math.max(...values).toFixed(1)} %)`;
  const foreign = span(uses.map(({ foreignPct }) => foreignPct));
  const steal = span(uses.map(({ stealPct }) => stealPct));
  return `- Noise: ${noisy} of ${uses.length} blocks noisy; foreign CPU ${foreign}, steal ${steal}, median and worst block`;
}

export function errorLine(errors: string[]): string {
  const kinds = [...new Set(errors)].slice(0, 3).join('; ');
  return `- Failed turns: ${errors.length}${kinds && ` (${kinds})`}`;
}
