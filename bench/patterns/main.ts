/**
 * Measures how often, and how fast, a client learns the outcome of a five-minute task by five patterns of async agent
 * APIs, under the same seeded faults: `npm run bench:patterns`, see `--help`.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../../test/support/temporal.ts';
import type { CellResult } from './audit.ts';
import { runCell } from './cell.ts';
import { renderCurve } from './curve.ts';
import { PATTERN_NAMES, PATTERNS } from './patterns.ts';
import type { PatternName } from './patterns.ts';
import { renderReport, summaryLine } from './report.ts';
import type { RunFacts } from './report.ts';
import { FACTOR, LEVELS, parseLevel } from './settings.ts';
import type { Level } from './settings.ts';
import { stopEverything } from './supervised.ts';

const HELP = `Usage: npm run bench:patterns [-- options]

Runs the same agent, client and faults against five ways to build an async agent API, time compressed ${FACTOR} times, on
this machine and on free ports. The full run takes about 20 minutes and writes bench/PATTERNS.md and docs/patterns.svg.

${PATTERN_NAMES.map((name) => `  ${name.padEnd(4)} ${PATTERNS[name].title}`).join('\n')}

  --quick            a minute or two: few executions at none and heavy, all at the same time; only prints
  --executions N     per pattern and level (default 864); without faults a sixth of that
  --seed N           of everything random (default 1)
  --levels LIST      none, light, heavy, or multiples of the fault rate of light (default none,0.5,light,2,heavy)
  --only LIST        patterns
  --out FILE         where the report goes, and beside it the curve as .svg ("-": only print the report)
  --help             this text

Exit code 3: the run is void, because its books do not balance or its faults did not happen as planned.
`;

/** What Temporal's dev server can do on two cores bounds it: the offered rate is the same for all. */
const PER_SECOND = 6;
const LEAST_EXECUTIONS = 24;
const VOID_EXIT_CODE = 3;

interface Plan {
  executions: number;
  seed: number;
  levels: Level[];
  /** All patterns at the same time at every level: their times say nothing then. */
  isQuick: boolean;
  names: PatternName[];
  files: { report: string; curve: string } | undefined;
}

function readPlan(): Plan | undefined {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      executions: { type: 'string' },
      seed: { type: 'string', default: '1' },
      levels: { type: 'string' },
      only: { type: 'string' },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const { quick } = values;
  const executions = Number(values.executions ?? (quick ? 60 : 864));
  const seed = Number(values.seed);
  if (!Number.isInteger(executions) || executions < LEAST_EXECUTIONS)
    throw new Error(`--executions takes a whole number from ${LEAST_EXECUTIONS}`);
  if (!Number.isSafeInteger(seed)) throw new Error('--seed takes a whole number');
  return {
    executions,
    seed,
    isQuick: quick,
    levels: (values.levels ?? (quick ? 'none,heavy' : 'none,0.5,light,2,heavy')).split(',').map(parseLevel),
    names: values.only?.split(',').map(toPattern) ?? PATTERN_NAMES,
    files: filesOf(values.out ?? (quick ? '-' : undefined)),
  };
}

function toPattern(name: string): PatternName {
  if (Object.hasOwn(PATTERNS, name)) return name as PatternName;
  throw new Error(`--only: unknown pattern ${name}`);
}

function filesOf(out: string | undefined): Plan['files'] {
  if (out === '-') return undefined;
  if (out !== undefined) return { report: out, curve: `${out.replace(/\.md$/, '')}.svg` };
  return { report: join(ROOT, 'bench', 'PATTERNS.md'), curve: join(ROOT, 'docs', 'patterns.svg') };
}

/**
 * What runs at the same time. Where times are compared nobody may take another's CPU: without faults each pattern runs
 * alone, at light faults Perdure runs apart from the others, which are cheap. Elsewhere only outcomes count.
 */
function groupsOf(level: Level, names: PatternName[]): PatternName[][] {
  if (level.rate === LEVELS.none) return names.map((name) => [name]);
  if (level.rate !== LEVELS.light) return [names];
  return [names.filter((name) => name !== 'P4'), names.filter((name) => name === 'P4')].filter(
    (group) => group.length > 0,
  );
}

async function runAll({ levels, names, executions, seed, isQuick }: Plan): Promise<CellResult[]> {
  const cells: CellResult[] = [];
  for (const level of levels)
    for (const group of isQuick ? [names] : groupsOf(level, names)) {
      const count = level.rate === 0 ? Math.max(LEAST_EXECUTIONS, Math.round(executions / 6)) : executions;
      say(`${level.name}: ${group.join(', ')}, ${count} executions each`);
      // Each cell ends what it has started, also when another one fails.
      const settled = await Promise.allSettled(
        group.map(async (name) => {
          const cell = await runCell({ name, level, executions: count, perSecond: PER_SECOND, seed });
          say(summaryLine(cell));
          return cell;
        }),
      );
      for (const cell of settled) {
        if (cell.status === 'rejected') throw cell.reason;
        cells.push(cell.value);
      }
    }
  return cells;
}

function say(line: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)}  ${line}\n`);
}

/** What only this comparison needs is not among the dependencies of Perdure. */
function installDependencies(): void {
  const folder = join(ROOT, 'bench', 'patterns');
  if (existsSync(join(folder, 'node_modules', 'libsql'))) return;
  say('installing what only this comparison needs (bench/patterns/package.json)');
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
}

function factsOf(plan: Plan): RunFacts {
  const options = process.argv.slice(2);
  const memoryGib = Math.round(totalmem() / 1024 ** 3);
  return {
    command: ['npm run bench:patterns', ...(options.length > 0 ? ['--', ...options] : [])].join(' '),
    date: new Date().toISOString().slice(0, 10),
    commit: commitOf(),
    machine: `${availableParallelism()} cores, ${memoryGib} GiB, ${process.platform} ${process.arch}, Node ${process.versions.node}`,
    seed: plan.seed,
    perSecond: PER_SECOND,
  };
}

function commitOf(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ', with changes';
    return git('rev-parse', '--short', 'HEAD') + changed;
  } catch {
    return 'unknown';
  }
}

async function main(): Promise<number> {
  const plan = readPlan();
  if (!plan) {
    process.stdout.write(HELP);
    return 0;
  }
  const facts = factsOf(plan);
  installDependencies();
  // A second Ctrl-C finds no handler and ends this process at once.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stopEverything().finally(() => process.exit(130)));

  const cells = await runAll(plan);
  const flaws = cells.flatMap(({ name, level, flaws }) => flaws.map((flaw) => `${level.name} ${name}: ${flaw}`));
  if (flaws.length > 0) {
    process.stderr.write(`VOID: this run may not be quoted\n${flaws.map((flaw) => `  ${flaw}\n`).join('')}`);
    return VOID_EXIT_CODE;
  }
  const report = renderReport(cells, facts);
  process.stdout.write(`\n${report}`);
  if (plan.files) {
    await writeFile(plan.files.report, report);
    await writeFile(plan.files.curve, renderCurve(cells));
  }
  return 0;
}

main().then(
  (code) => process.exit(code),
  (err: unknown) => {
    process.stderr.write(`bench:patterns: ${err instanceof Error ? err.message : String(err)}\n`);
    void stopEverything().finally(() => process.exit(1));
  },
);
