/**
 * Measures, in one run on one machine, what Perdure costs on top of the bare Temporal SDK and of a direct call of the
 * agent: `npm run bench`, see `--help`.
 */
import { writeFile } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../test/support/temporal.ts';
import { cpuBetween, readCpu } from './cpu.ts';
import type { CpuReading } from './cpu.ts';
import { closedLoop } from './load.ts';
import { startStand } from './processes.ts';
import type { Stand } from './processes.ts';
import { renderReport } from './report.ts';
import type { Block, RunFacts } from './report.ts';
import { createSubjects, SUBJECTS } from './subjects.ts';
import type { SubjectName, Subjects } from './subjects.ts';

const HELP = `Usage: npm run bench [-- options]

Starts a Temporal dev server, Perdure, a worker of the bare Temporal SDK and an agent, all on this machine and on free
ports, and measures them in alternating blocks. The full run takes about 12 minutes and writes bench/RESULTS.md.

  --quick              about a minute: 2 short blocks, c=1 and c=16; only prints
  --rounds N           blocks per point (default 5)
  --seconds S          length of a block (default 3)
  --concurrency LIST   default 1,16,64
  --only LIST          subjects: ${Object.keys(SUBJECTS).join(', ')}
  --out FILE           where the report goes ("-": only print it)
  --help               this text
`;

interface Plan {
  rounds: number;
  seconds: number;
  concurrencies: number[];
  subjects: SubjectName[];
  out: string | undefined;
}

/** Share of a block's length that runs before its window opens. */
const WARM_UP = 0.2;
const SAMPLED_WORKFLOWS = 2;

function readPlan(): Plan | undefined {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      concurrency: { type: 'string' },
      only: { type: 'string' },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const { quick } = values;
  const out = values.out ?? (quick ? '-' : join(ROOT, 'bench', 'RESULTS.md'));
  const plan: Plan = {
    rounds: Number(values.rounds ?? (quick ? 2 : 5)),
    seconds: Number(values.seconds ?? (quick ? 1 : 3)),
    concurrencies: (values.concurrency ?? (quick ? '1,16' : '1,16,64')).split(',').map(Number),
    subjects: (values.only ?? Object.keys(SUBJECTS).join(',')).split(',').map(toSubject),
    out: out === '-' ? undefined : out,
  };
  if (![plan.rounds, plan.seconds, ...plan.concurrencies].every((value) => value > 0))
    throw new Error('--rounds, --seconds and --concurrency take numbers above 0');
  return plan;
}

function toSubject(name: string): SubjectName {
  if (Object.hasOwn(SUBJECTS, name)) return name as SubjectName;
  throw new Error(`--only: unknown subject ${name}`);
}

async function runBlocks(plan: Plan, stand: Stand, subjects: Subjects): Promise<Block[]> {
  const blocks: Block[] = [];
  for (let round = 1; round <= plan.rounds; round++) {
    // A B C, C B A, …: what drifts slowly meets all subjects alike.
    const order = round % 2 === 1 ? plan.subjects : plan.subjects.toReversed();
    for (const concurrency of plan.concurrencies)
      for (const subject of order) {
        const block = await runBlock(subject, concurrency, round, plan.seconds, stand, subjects);
        blocks.push(block);
        process.stderr.write(`round ${round}/${plan.rounds}  c=${concurrency}  ${progressOf(block)}\n`);
      }
  }
  return blocks;
}

async function runBlock(
  subject: SubjectName,
  concurrency: number,
  round: number,
  seconds: number,
  stand: Stand,
  subjects: Subjects,
): Promise<Block> {
  const readings: CpuReading[] = [];
  const result = await closedLoop({
    concurrency,
    warmUpMs: seconds * 1000 * WARM_UP,
    measureMs: seconds * 1000,
    turn: subjects.turns[subject],
    onWindow: () => readings.push(readCpu(stand.pids)),
  });
  const [before, after] = readings;
  if (!before || !after) throw new Error('the window did not open and close');
  const cpu = cpuBetween(before, after);

  let size: Block['size'];
  const workflowIds = result.turns.map((turn) => turn.workflowId).filter((id) => id !== undefined);
  for (const workflowId of workflowIds.slice(-SAMPLED_WORKFLOWS)) size = await subjects.sizeOf(workflowId);
  return { subject, concurrency, round, ...result, cpu, size };
}

function progressOf({ subject, turns, seconds, cpu, errors }: Block): string {
  const rate = (turns.length / seconds).toFixed(1).padStart(7);
  const noise = `foreign ${cpu.foreignPct.toFixed(1)} %, steal ${cpu.stealPct.toFixed(1)} %`;
  const failed = errors.length > 0 ? `, ${errors.length} FAILED: ${errors[0]}` : '';
  return `${SUBJECTS[subject].padEnd(46)} ${rate}/s  ${noise}${failed}`;
}

async function factsOf(plan: Plan, subjects: Subjects): Promise<RunFacts> {
  const options = process.argv.slice(2);
  const memoryGib = Math.round(totalmem() / 1024 ** 3);
  return {
    command: ['npm run bench', ...(options.length > 0 ? ['--', ...options] : [])].join(' '),
    date: new Date().toISOString().slice(0, 10),
    machine: `${availableParallelism()} cores, ${memoryGib} GiB, ${process.platform} ${process.arch}, Node ${process.versions.node}`,
    serverVersion: await subjects.serverVersion(),
    rounds: plan.rounds,
    seconds: plan.seconds,
  };
}

async function main(): Promise<void> {
  const plan = readPlan();
  if (!plan) {
    process.stdout.write(HELP);
    return;
  }
  const stand = await startStand();
  // A second Ctrl-C finds no handler and ends this process at once.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stand.stop().finally(() => process.exit(130)));
  try {
    const subjects = await createSubjects(stand);
    const facts = await factsOf(plan, subjects);
    const report = renderReport(await runBlocks(plan, stand, subjects), facts);
    await subjects.close();
    process.stdout.write(`\n${report}`);
    if (plan.out) await writeFile(plan.out, report);
  } finally {
    await stand.stop();
  }
}

main().then(
  () => process.exit(),
  (err: unknown) => {
    process.stderr.write(`bench: ${err instanceof Error ? err.message : String(err)}\n`);
    process.exit(1);
  },
);
