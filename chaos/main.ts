/** The fault harness: `npm run chaos`, see `--help` and docs/chaos.md. */
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { saveSection } from '../bench/results.ts';
import { ROOT } from '../test/support/temporal.ts';
import { balanceOf } from './balance.ts';
import { FAULT_NAMES, selectFaults } from './faults.ts';
import { checkInvariants } from './invariants.ts';
import { makePlan } from './plan.ts';
import { markdown, summaryLine, violationsText } from './report.ts';
import type { RunFacts } from './report.ts';
import { run } from './run.ts';
import { readSeen, writeSeen } from './seen.ts';
import type { Seen } from './seen.ts';
import { PRODUCT_FOLDERS } from './stand.ts';

const HELP = `Usage: npm run chaos [-- options]

Starts Temporal, two APIs and two workers as real processes on this machine, and agents, receivers, clients and faults
around them; then checks from what was seen that Perdure kept its promises. Everything listens on loopback only.

  --short            about two minutes, every fault at least once (the default)
  --long             15750 executions, of which over 15000 are acknowledged and end; every fault many times
  --seed N           the same seed gives the same plan (default: drawn, and printed)
  --executions N     how many executions
  --rate R           submits per second
  --rounds N         how often each fault of the system happens
  --faults LIST      only these, by name or by how their names begin; "none" for none
  --live S           how long after the last fault everything may take to end (default: 60)
  --serve            two processes that are API and worker each, instead of two of each
  --root DIR         the checkout whose code is run (default: this one)
  --out FILE         where a Markdown section with the results is written
  --save             keep that section in bench/RESULTS.md, one per seed
  --ledger FILE      where all that was seen is written, as JSON
  --judge FILE       no run: judges such a ledger again; the other options as they were
  --logs DIR         where the logs of the processes are kept (default: nowhere)
  --help             this text

Exit code 0: all promises kept; 1: a promise broken, with the story of the executions concerned; 3: the run is void,
because its account does not balance or a planned fault did not happen; 2: it could not be run.

Faults: ${FAULT_NAMES.join(' ')}
`;

/** The promise of liveness. The slowest agents take 12 s of it. */
const LIVE_DEADLINE_S = 60;
const KEPT = 0;
const BROKEN = 1;
const NOT_RUN = 2;
const VOID = 3;

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    long: { type: 'boolean', default: false },
    seed: { type: 'string' },
    executions: { type: 'string' },
    rate: { type: 'string' },
    rounds: { type: 'string' },
    serve: { type: 'boolean', default: false },
    faults: { type: 'string' },
    root: { type: 'string', default: ROOT },
    live: { type: 'string' },
    out: { type: 'string' },
    save: { type: 'boolean', default: false },
    ledger: { type: 'string' },
    judge: { type: 'string' },
    logs: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(NOT_RUN));
process.exit(
  await main().catch((err: unknown) => {
    process.stderr.write(`chaos: ${err instanceof Error ? err.stack : String(err)}\n`);
    return NOT_RUN;
  }),
);

async function main(): Promise<number> {
  const preset = values.long
    ? { executions: 15_750, rate: 20, rounds: 8, inFlight: 80 }
    : { executions: 240, rate: 4, rounds: 1, inFlight: 30 };
  const options = {
    seed: number('seed', Math.floor(Math.random() * 1e9)),
    executions: number('executions', preset.executions),
    rate: number('rate', preset.rate),
    rounds: number('rounds', preset.rounds),
    faults: selectFaults(values.faults),
  };
  const liveS = number('live', LIVE_DEADLINE_S);
  const runOptions = { logFolder: values.logs, isOneProcess: values.serve, maxInFlight: preset.inFlight };
  const root = resolve(values.root);
  const say = (line: string) => void process.stdout.write(`chaos: ${line}\n`);
  say(
    `seed ${options.seed}, ${options.executions} executions at ${options.rate}/s, ${options.faults.size} kinds of faults`,
  );
  const wanted = makePlan(options);
  const seen: Seen =
    values.judge === undefined
      ? { ...(await run(wanted, { ...runOptions, root, liveMs: liveS * 1000 }, say)), commit: commitOf(root) }
      : await readSeen(values.judge, wanted);
  if (values.ledger !== undefined) await writeSeen(values.ledger, seen);
  const { plan, ledger, notPlanned, startedAt, liveMs, commit } = seen;

  const { facts, disturbances } = ledger;
  const result: RunFacts = {
    plan,
    ledger,
    notPlanned,
    startedAt,
    balance: balanceOf(plan, facts, disturbances),
    violations: checkInvariants({ executions: plan.executions, facts, disturbances }),
    commit,
    isOneProcess: values.serve,
    command: commandOf(options),
    machine: `${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}, Node ${process.versions.node}`,
    date: new Date().toISOString().slice(0, 10),
    liveS: Math.ceil(liveMs / 1000),
    deadlineS: liveS,
  };
  const { balance, violations } = result;
  if (violations.length > 0 || balance.unknown.length > 0) process.stdout.write(`\n${violationsText(result)}\n`);
  for (const flaw of balance.flaws) say(`void: ${flaw}`);
  const section = markdown(result);
  process.stdout.write(`\n${section}\n\n${summaryLine(result)}\n`);
  if (values.out !== undefined) await writeFile(values.out, `${section}\n`);
  if (values.save)
    await saveSection(join(ROOT, 'bench', 'RESULTS.md'), `chaos-${plan.seed}${values.serve ? '-serve' : ''}`, section);
  // A broken promise is one, whatever else there is to say about the run.
  if (violations.length > 0) return BROKEN;
  return balance.flaws.length > 0 ? VOID : KEPT;
}

function number(name: 'seed' | 'executions' | 'rate' | 'rounds' | 'live', preset: number): number {
  const value = Number(values[name] ?? preset);
  if (!(value >= (name === 'seed' ? 0 : Number.MIN_VALUE))) throw new Error(`--${name} takes a number`);
  return value;
}

/** The same plan again, and as many in flight as now. */
function commandOf({ seed }: { seed: number }): string {
  const flags = (['long', 'serve'] as const).filter((name) => values[name]);
  const options = (['executions', 'rate', 'rounds', 'faults'] as const).filter((name) => values[name] !== undefined);
  return [
    'npm run chaos --',
    ...flags.map((name) => `--${name}`),
    `--seed ${seed}`,
    ...options.map((name) => `--${name} ${values[name]}`),
  ].join(' ');
}

function commitOf(root: string): string {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', root, ...args], { encoding: 'utf8', stdio: 'pipe' }).trim();
    return (
      git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--', ...PRODUCT_FOLDERS) === '' ? '' : '+')
    );
  } catch {
    return 'unknown';
  }
}
