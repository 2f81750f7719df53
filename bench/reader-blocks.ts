import type { Plan } from './suite.ts';
import { cpuBetween, isNoisy, readCpu } from './cpu.ts';
import type { CpuUse } from './cpu.ts';
import type { Stand } from './processes.ts';
import { quantile } from './statistics.ts';
import { number } from './table.ts';

/** How many follow one execution at the same time. */
export const READERS = [1, 10, 100];

export interface Times {
  /** From the callback to its 200: from then on it counts. */
  takenMs: number[];
  /** From the callback to each reader. */
  readMs: number[];
}

export interface ReaderBlock extends Times {
  readers: number;
  cpu: CpuUse;
}

export function sizeOf(plan: Plan): { rounds: number; events: number } {
  return { rounds: plan.rounds ?? (plan.quick ? 1 : 5), events: plan.quick ? 10 : 50 };
}

/** A block for each number of readers, in alternating order. */
export async function runReaderBlocks(
  stand: Stand,
  rounds: number,
  runBlock: (readers: number) => Promise<Times>,
  say: (line: string) => void,
): Promise<ReaderBlock[]> {
  const blocks: ReaderBlock[] = [];
  for (let round = 1; round <= rounds; round++)
    for (const readers of round % 2 === 1 ? READERS : READERS.toReversed()) {
      const before = readCpu(stand.pids());
      const times = await runBlock(readers);
      blocks.push({ readers, ...times, cpu: cpuBetween(before, readCpu(stand.pids())) });
      say(`round ${round}/${rounds}  ${readers} readers: p50 ${quantile(times.readMs, 0.5).toFixed(1)} ms`);
    }
  return blocks;
}

/**
 * A row for each number of readers: it, p50 and p99 of the callback and of its readers, more columns, how much was read,
 * and the blocks that count.
 */
export function readerRows(blocks: ReaderBlock[], more: (times: Times) => string[] = () => []): string[][] {
  return READERS.map((readers) => {
    const all = blocks.filter((block) => block.readers === readers);
    const clean = all.filter(({ cpu }) => !isNoisy(cpu));
    const used = clean.length > 0 ? clean : all;
    const takenMs = used.flatMap((block) => block.takenMs);
    const readMs = used.flatMap((block) => block.readMs);
    return [
      String(readers),
      ...quantiles(takenMs),
      ...quantiles(readMs),
      ...more({ takenMs, readMs }),
      String(readMs.length),
      clean.length > 0 ? `${clean.length} of ${all.length}` : `${all.length} *`,
    ];
  });
}

/** p50 and p99, as they stand in a table. */
export function quantiles(values: number[]): [string, string] {
  return [number(quantile(values, 0.5), 1), number(quantile(values, 0.99), 1)];
}
