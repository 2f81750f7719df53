import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../test/support/temporal.ts';
import { PEER_OF, SUBJECTS } from './subjects.ts';
import type { SubjectName } from './subjects.ts';
import { SUITE_NAMES } from './suite.ts';
import type { Plan, SuiteName } from './suite.ts';

export const HELP = `Usage: npm run bench [-- options]

Starts a Temporal dev server, Perdure, a worker of the bare Temporal SDK and an agent, all on this machine and on free
ports, and measures them in alternating blocks. Writes bench/RESULTS.md, one section per suite.

  --suite LIST         what to measure (default cost), or "all":
                         cost       latency, rate and CPU in a closed loop (12 minutes)
                         open-loop  submit to webhook at 10, 30 and 60 % of saturation (10 minutes)
                         shapes     history events, bytes and billable actions (1 minute)
                         recover    kill -9 of worker, API and Temporal with work in flight (15 minutes)
                         memory     resident memory per execution in flight (10 minutes)
                         start-up   from the start of a process to its first success (3 minutes)
                         long-poll  from an agent's event to those who wait for it (3 minutes)
                         streams    from an agent's event to those who follow by event stream (3 minutes)
                         pollers    what many who poll one execution cost Temporal (7 minutes)
                         scale      two APIs and two workers; Temporal on PostgreSQL (5 minutes)
  --peers              Restate and DBOS in the same run (cost, open-loop, recover). Installs them with npm ci into
                       bench/peers; DBOS needs PostgreSQL (Debian: apt-get install postgresql)
  --quick              about a minute per suite: few and short blocks; only prints
  --rounds N           rounds (default: as the suite has it, 5 for cost)
  --seconds S          cost: length of a block (default 3)
  --concurrency LIST   cost: default 1,16,64
  --only LIST          cost: subjects, of
                       ${Object.keys(SUBJECTS).join(', ')}
  --cpu-prof DIR       CPU profiles of all Node processes, a file per thread, for Chrome's DevTools. Costs time itself
  --out FILE           where the report goes ("-": only print it)
  --help               this text
`;

/** Undefined if help was asked for. */
export function readPlan(args: string[]): Plan | undefined {
  const { values } = parseArgs({
    args,
    options: {
      suite: { type: 'string', default: 'cost' },
      peers: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      concurrency: { type: 'string' },
      only: { type: 'string' },
      'cpu-prof': { type: 'string' },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const { quick } = values;
  const out = values.out ?? (quick ? '-' : join(ROOT, 'bench', 'RESULTS.md'));
  const plan: Plan = {
    suites: suitesOf(values.suite),
    quick,
    withPeers: values.peers,
    rounds: values.rounds === undefined ? undefined : Number(values.rounds),
    seconds: Number(values.seconds ?? (quick ? 1 : 3)),
    concurrencies: (values.concurrency ?? (quick ? '1,16' : '1,16,64')).split(',').map(Number),
    subjects: values.only?.split(',').map(toSubject),
    profiles: values['cpu-prof'] === undefined ? undefined : resolve(values['cpu-prof']),
    out: out === '-' ? undefined : out,
  };
  const peerSubject = plan.subjects?.find((name) => PEER_OF[name] !== undefined);
  if (peerSubject && !plan.withPeers) throw new Error(`--only: ${peerSubject} needs --peers`);
  if (![plan.rounds ?? 1, plan.seconds, ...plan.concurrencies].every((value) => value > 0))
    throw new Error('--rounds, --seconds and --concurrency take numbers above 0');
  return plan;
}

function suitesOf(list: string): SuiteName[] {
  if (list === 'all') return [...SUITE_NAMES];
  const wanted = list.split(',');
  const unknown = wanted.find((name) => !(SUITE_NAMES as readonly string[]).includes(name));
  if (unknown !== undefined) throw new Error(`--suite: unknown suite ${unknown}`);
  return SUITE_NAMES.filter((name) => wanted.includes(name));
}

function toSubject(name: string): SubjectName {
  if (Object.hasOwn(SUBJECTS, name)) return name as SubjectName;
  throw new Error(`--only: unknown subject ${name}`);
}
