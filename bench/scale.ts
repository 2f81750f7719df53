/** Suite `scale`: more processes against one server, and another store behind it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createBenchClient, INPUT } from './client.ts';
import { runBlock } from './cost.ts';
import { isNoisy } from './cpu.ts';
import type { Pids } from './cpu.ts';
import { NODE_NAME } from './processes.ts';
import type { Stand } from './processes.ts';
import type { Block } from './report.ts';
import { median, quantile } from './statistics.ts';
import { createSubjects } from './subjects.ts';
import type { Subjects } from './subjects.ts';
import { errorLine, factLines, noiseLine } from './suite.ts';
import type { Suite } from './suite.ts';
import { number, table } from './table.ts';
import { startTemporalOnPostgres } from './temporal-postgres.ts';

interface Layout {
  name: string;
  subjects: Subjects;
  pids: () => Pids;
}

const SUBJECT = 'perdureStart';
const SERVER_PARTS = ['server', 'postgres'];
/** A new search attribute is known to every part of the server only after a while. */
const FIRST_SUBMIT_DEADLINE_MS = 120_000;

export const scale: Suite = async ({ plan, startStand, stopAtEnd, say }) => {
  const { quick } = plan;
  const concurrency = quick ? 16 : 64;
  const rounds = plan.rounds ?? (quick ? 1 : 5);
  const seconds = quick ? 2 : 5;
  const notes: string[] = [];
  const layouts: Layout[] = [];
  const add = async (name: string, stand: Stand, more: () => Pids = () => ({})) => {
    await untilAccepted(stand);
    layouts.push({ name, subjects: await createSubjects(stand), pids: () => ({ ...stand.pids(), ...more() }) });
  };

  const small = await startStand({ withBaseline: false });
  await add('1 API, 1 worker, Temporal on SQLite', small);
  const large = await startStand({
    apis: 2,
    workers: 2,
    withBaseline: false,
    temporal: small.temporal,
    env: { PERDURE_TASK_QUEUE: 'bench-two' },
  });
  await add('2 APIs, 2 workers, the same Temporal', large);
  const onPostgres = await startTemporalOnPostgres(say);
  if (typeof onPostgres === 'string') {
    say(`Temporal on PostgreSQL is left out: ${onPostgres}`);
    notes.push(`Temporal on PostgreSQL: left out, ${onPostgres}`);
  } else {
    stopAtEnd(onPostgres);
    const stand = await startStand({ withBaseline: false, temporal: onPostgres });
    await add('1 API, 1 worker, Temporal on PostgreSQL', stand, () => ({ postgres: [onPostgres.postgres.pid] }));
  }

  const allPids = () => mergedPids(layouts);
  const blocks: (Block & { layout: string })[] = [];
  for (let round = 1; round <= rounds; round++)
    for (const { name, subjects, pids } of round % 2 === 1 ? layouts : layouts.toReversed()) {
      const own = { subject: SUBJECT, concurrency, round, seconds } as const;
      const block = await runBlock(own, subjects, () => ({ ...pids(), others: othersOf(allPids(), pids()) }));
      blocks.push({ ...block, layout: name });
      say(`round ${round}/${rounds}  ${name.padEnd(42)} ${(block.turns.length / block.seconds).toFixed(1)}/s`);
    }
  const serverVersion = await layouts[0]?.subjects.serverVersion();
  for (const { subjects } of layouts) await subjects.close();
  return render(blocks, { names: layouts.map(({ name }) => name), rounds, seconds, concurrency, serverVersion, notes });
};

async function untilAccepted(stand: Stand): Promise<void> {
  const http = createBenchClient();
  const url = `${stand.apiUrl}/api/v1/execute/async/${NODE_NAME}.echo`;
  let last = '';
  try {
    for (const until = Date.now() + FIRST_SUBMIT_DEADLINE_MS; Date.now() < until; await sleep(500)) {
      const isAccepted = await http.send(url, { input: INPUT }).then(
        () => true,
        (err: unknown) => {
          last = String(err);
          return false;
        },
      );
      if (isAccepted) return;
    }
  } finally {
    await http.close();
  }
  throw new Error(`no submit is accepted: ${last}`);
}

function mergedPids(layouts: Layout[]): number[] {
  return layouts.flatMap(({ pids }) => Object.values(pids()).flat());
}

/** The other layouts idle meanwhile: theirs is not foreign, and not part of the cost. */
function othersOf(all: number[], own: Pids): number[] {
  const mine = new Set(Object.values(own).flat());
  return [...new Set(all)].filter((pid) => !mine.has(pid));
}

interface Facts {
  names: string[];
  rounds: number;
  seconds: number;
  concurrency: number;
  serverVersion: string | undefined;
  notes: string[];
}

function render(blocks: (Block & { layout: string })[], facts: Facts): string {
  const { names, rounds, seconds, concurrency } = facts;
  const rows = names.map((name) => {
    const all = blocks.filter(({ layout }) => layout === name);
    const clean = all.filter(({ cpu }) => !isNoisy(cpu));
    const used = clean.length > 0 ? clean : all;
    const middle = (metric: (block: Block) => number) => number(median(used.map(metric)), 1);
    const cpu = (parts: string[]) =>
      middle((block) => parts.reduce((sum, part) => sum + (block.cpu.processMs[part] ?? 0), 0) / block.turns.length);
    const times = used.flatMap(({ turns }) => turns.map(({ webhookMs }) => webhookMs ?? Number.NaN));
    return [
      name,
      middle((block) => block.turns.length / block.seconds),
      number(quantile(times, 0.5), 1),
      number(quantile(times, 0.99), 1),
      ...[SERVER_PARTS, ['api'], ['worker'], ['client', 'agent']].map(cpu),
      clean.length > 0 ? `${clean.length} of ${all.length}` : `${all.length} *`,
    ];
  });
  return [
    '## Scale: more processes, another store',
    '',
    ...factLines(facts.serverVersion),
    `- Blocks: ${rounds} of ${seconds} s for each, alternating, c=${concurrency}, async submit + webhook`,
    ...facts.notes.map((note) => `- ${note}`),
    noiseLine(blocks.map(({ cpu }) => cpu)),
    errorLine(blocks.flatMap(({ errors }) => errors)),
    '',
    table(
      ['', 'per s', 'webhook p50 ms', 'p99', 'CPU ms: Temporal and store', 'API', 'worker', 'client, agent', 'blocks'],
      rows,
    ),
    '',
    '- All of it shares the cores of one machine: where these are the limit, more processes cannot bring more. What',
    '  counts here is CPU per execution: what stays the same with two of each can be spread over machines.',
    '- With PostgreSQL the Temporal server is one process built from the same version, with 4 history shards (the dev',
    '  server has 1), and the same dynamic configuration; PostgreSQL has its default settings, fsync included.',
    '',
  ].join('\n');
}
