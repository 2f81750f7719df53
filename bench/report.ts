import { isNoisy } from './cpu.ts';
import type { CpuUse } from './cpu.ts';
import type { Turn } from './load.ts';
import { PROCESS_NAMES } from './processes.ts';
import type { ProcessName } from './processes.ts';
import { median, quantile } from './statistics.ts';
import { SUBJECTS } from './subjects.ts';
import type { SubjectName } from './subjects.ts';

/** One subject under one concurrency for a few seconds. */
export interface Block {
  subject: SubjectName;
  concurrency: number;
  /** Blocks of the same round are compared with each other. */
  round: number;
  turns: Turn[];
  seconds: number;
  errors: string[];
  cpu: CpuUse;
  size?: { events: number; transitions: number } | undefined;
}

export interface RunFacts {
  command: string;
  date: string;
  machine: string;
  serverVersion: string;
  rounds: number;
  seconds: number;
}

type Metric = (block: Block) => number;
type Timing = 'answerMs' | 'webhookMs';

const EXECUTION_SUBJECTS: SubjectName[] = [
  'direct',
  'bareCall',
  'perdureCall',
  'bareBoth',
  'perdureBoth',
  'bareStart',
  'perdureStart',
];
const READ_SUBJECTS: SubjectName[] = ['describe', 'poll'];

const times = (block: Block, timing: Timing) =>
  block.turns.map((turn) => turn[timing]).filter((ms) => ms !== undefined);
const p50 =
  (timing: Timing): Metric =>
  (block) =>
    median(times(block, timing));
const rate: Metric = ({ turns, seconds }) => turns.length / seconds;
const cpuOf =
  (...names: readonly ProcessName[]): Metric =>
  ({ cpu, turns }) =>
    names.reduce((sum, name) => sum + (cpu.processMs[name] ?? 0), 0) / turns.length;
const cpuOfAll = cpuOf(...PROCESS_NAMES);

interface Comparison {
  title: string;
  over: SubjectName;
  under: SubjectName;
  metric: Metric;
  aim?: { concurrency: number; text: string; isMet: (ratio: number) => boolean };
}

const atMost = (limit: number, concurrency: number) => ({
  concurrency,
  text: `<= ${limit} at c=${concurrency}`,
  isMet: (ratio: number) => ratio <= limit,
});
const atLeast = (limit: number, concurrency: number) => ({
  concurrency,
  text: `>= ${limit} at c=${concurrency}`,
  isMet: (ratio: number) => ratio >= limit,
});

const perdureBoth = { over: 'perdureBoth', under: 'bareBoth' } as const;
const perdureCall = { over: 'perdureCall', under: 'bareCall' } as const;
const perdureStart = { over: 'perdureStart', under: 'bareStart' } as const;
const poll = { over: 'poll', under: 'describe' } as const;
const httpFloor = { over: 'poll', under: 'direct' } as const;

const COMPARISONS: Comparison[] = [
  { title: '(1) submit to webhook, async: p50', ...perdureStart, metric: p50('webhookMs'), aim: atMost(1.2, 1) },
  { title: '(1) submit to webhook, async: rate', ...perdureStart, metric: rate, aim: atLeast(0.85, 16) },
  { title: '(1) submit to webhook, async: CPU per execution', ...perdureStart, metric: cpuOfAll },
  { title: '(2) sync without webhook: p50', ...perdureCall, metric: p50('answerMs'), aim: atMost(1.2, 1) },
  { title: '(2) sync without webhook: rate', ...perdureCall, metric: rate, aim: atLeast(0.85, 16) },
  { title: '(2) sync without webhook: CPU per execution', ...perdureCall, metric: cpuOfAll },
  { title: '(3) sync + webhook: p50 of the answer', ...perdureBoth, metric: p50('answerMs'), aim: atMost(1.2, 1) },
  { title: '(3) sync + webhook: p50 of the webhook', ...perdureBoth, metric: p50('webhookMs') },
  { title: '(3) sync + webhook: rate', ...perdureBoth, metric: rate, aim: atLeast(0.85, 16) },
  { title: '(3) sync + webhook: CPU per execution', ...perdureBoth, metric: cpuOfAll },
  { title: '(4) status poll, against describe(): p50', ...poll, metric: p50('answerMs'), aim: atMost(0.2, 1) },
  { title: '(4) status poll, against describe(): rate', ...poll, metric: rate },
  { title: '(4) status poll, against describe(): CPU per read', ...poll, metric: cpuOfAll, aim: atMost(0.2, 1) },
  { title: '(4) status poll, against a direct HTTP call: p50', ...httpFloor, metric: p50('answerMs') },
];

const NOTES = `## How to read this

- Every number is from one run on one machine: compare within it only. Blocks of all subjects alternate, forwards and
  backwards; a ratio is taken per round between two blocks of that round. Shown is the median, and from least to
  greatest.
- Rows: A calls the agent without anything in between. B is the Temporal SDK alone: a workflow with one or two
  ordinary activities, a worker process of its own, the client in the benchmark's process, the same server and flags.
  C is Perdure over HTTP: the API and the worker as processes of their own with their default settings. The agent
  answers at once with about 260 bytes of JSON; all connections are kept alive.
- B's worker has the settings of Perdure's: as many activities at a time, and no gRPC compression, which would cost both
  about as much (the SDK compresses unless told not to).
- "answer" is the time to the HTTP answer, or to the return of \`execute()\` or \`start()\`. \`execute()\` returns when the
  workflow has closed, after both activities, and so does Perdure's sync answer where the receiver takes the webhook
  within a second. "webhook" is the time from the submit to the arrival.
- A turn of the closed loop ends when both the answer and the webhook are there. In (1) both still have to close the
  workflow then, which overlaps the next turn. CPU per execution counts it for all.
- Perdure's webhook is signed and its URL sealed in history, it registers two search attributes, and its API writes a
  log line per execution; the bare SDK does none of that.
- One HTTP round trip is the least that a poll can take: the last line of the ratios compares it with row A.
- CPU is user and system time of each process within the window, per turn that ended in it. "client" is the benchmark
  itself: for B it holds the Temporal client, for both the webhook receiver. p99 is over all turns of all counted
  blocks together.
- A block is noisy when processes other than these took more than 5 % of the machine, or the hypervisor more than 1 %.
  Noisy blocks are not counted, unless there are no others: such cells are marked \`*\`.`;

export function renderReport(blocks: Block[], facts: RunFacts): string {
  const concurrencies = [...new Set(blocks.map((block) => block.concurrency))];
  return [
    '# Benchmark results',
    '',
    `- Date: ${facts.date}`,
    `- Command: \`${facts.command}\` (${facts.rounds} blocks of ${facts.seconds} s per point)`,
    `- Machine: ${facts.machine}`,
    `- Temporal server: ${facts.serverVersion}, development server on SQLite with the flags of \`temporal-dev.sh\``,
    ...noiseLines(blocks),
    '',
    '## Perdure divided by the bare SDK',
    '',
    table(
      ['', ...concurrencies.map((c) => `c=${c}`), 'aim', 'met'],
      COMPARISONS.map((comparison) => comparisonRow(blocks, comparison, concurrencies)),
    ),
    '',
    ...concurrencies.flatMap((c) => [`## Executions, c=${c}`, '', executionTable(blocks, c), '']),
    '## Reads of a running execution',
    '',
    readTable(blocks, concurrencies),
    '',
    NOTES,
    '',
  ].join('\n');
}

function noiseLines(blocks: Block[]): string[] {
  const noisy = blocks.filter((block) => isNoisy(block.cpu)).length;
  const foreign = blocks.map((block) => block.cpu.foreignPct);
  const steal = blocks.map((block) => block.cpu.stealPct);
  const span = (values: number[]) => `${median(values).toFixed(1)} % (up to ${Math.max(...values).toFixed(1)} %)`;
  const errors = blocks.flatMap((block) => block.errors);
  const kinds = [...new Set(errors)].slice(0, 3).join('; ');
  return [
    `- Noise: ${noisy} of ${blocks.length} blocks noisy; foreign CPU ${span(foreign)}, steal ${span(steal)}, median and worst block`,
    `- Failed turns: ${errors.length}${kinds && ` (${kinds})`}`,
  ];
}

function comparisonRow(blocks: Block[], { title, over, under, metric, aim }: Comparison, concurrencies: number[]) {
  const cells = concurrencies.map((c) => ratioOf(blocks, over, under, metric, c));
  const atAim = aim && cells[concurrencies.indexOf(aim.concurrency)];
  const verdict = (ratio: { middle: number; mark: string }) => (aim?.isMet(ratio.middle) ? 'yes' : 'no') + ratio.mark;
  const met = atAim && !Number.isNaN(atAim.middle) ? verdict(atAim) : '';
  return [title, ...cells.map(({ text }) => text), aim?.text ?? '', met];
}

function ratioOf(blocks: Block[], over: SubjectName, under: SubjectName, metric: Metric, concurrency: number) {
  const here = blocks.filter((block) => block.concurrency === concurrency);
  const pairs = here
    .filter((block) => block.subject === over)
    .map((a) => ({ a, b: here.find((block) => block.subject === under && block.round === a.round) }))
    .filter((pair): pair is { a: Block; b: Block } => pair.b !== undefined);
  const clean = pairs.filter(({ a, b }) => !isNoisy(a.cpu) && !isNoisy(b.cpu));
  const used = clean.length > 0 ? clean : pairs;
  const ratios = used.map(({ a, b }) => metric(a) / metric(b)).filter((ratio) => Number.isFinite(ratio));
  const middle = median(ratios);
  const mark = clean.length > 0 ? '' : ' *';
  if (ratios.length === 0) return { middle, mark, text: '-' };
  const span = `${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)}`;
  return { middle, mark, text: `${middle.toFixed(2)} (${span})${mark}` };
}

function executionTable(blocks: Block[], concurrency: number): string {
  const header = [
    '',
    'answer p50 ms',
    'p99',
    'webhook p50 ms',
    'p99',
    'per s',
    'CPU ms: server',
    'API',
    'worker',
    'client',
    'agent',
    'events',
    'transitions',
    'blocks',
  ];
  const rows = EXECUTION_SUBJECTS.map((subject) => {
    const { used, label } = countedBlocks(blocks, subject, concurrency);
    const middle = (metric: Metric, digits = 1) => number(median(used.map(metric)), digits);
    return [
      SUBJECTS[subject],
      middle(p50('answerMs')),
      pooledP99(used, 'answerMs'),
      middle(p50('webhookMs')),
      pooledP99(used, 'webhookMs'),
      middle(rate),
      middle(cpuOf('server')),
      middle(cpuOf('api')),
      middle(cpuOf('worker', 'bare worker')),
      middle(cpuOf('client')),
      middle(cpuOf('agent')),
      middle((block) => block.size?.events ?? Number.NaN, 0),
      middle((block) => block.size?.transitions ?? Number.NaN, 0),
      label,
    ];
  });
  return table(header, rows);
}

function readTable(blocks: Block[], concurrencies: number[]): string {
  const header = ['', 'c', 'p50 ms', 'p99', 'per s', 'CPU ms: server', 'API', 'client', 'blocks'];
  const rows = concurrencies.flatMap((concurrency) =>
    READ_SUBJECTS.map((subject) => {
      const { used, label } = countedBlocks(blocks, subject, concurrency);
      const middle = (metric: Metric, digits: number) => number(median(used.map(metric)), digits);
      return [
        SUBJECTS[subject],
        String(concurrency),
        middle(p50('answerMs'), 2),
        pooledP99(used, 'answerMs'),
        middle(rate, 0),
        middle(cpuOf('server'), 3),
        middle(cpuOf('api'), 3),
        middle(cpuOf('client'), 3),
        label,
      ];
    }),
  );
  return table(header, rows);
}

function countedBlocks(blocks: Block[], subject: SubjectName, concurrency: number) {
  const all = blocks.filter((block) => block.subject === subject && block.concurrency === concurrency);
  const clean = all.filter((block) => !isNoisy(block.cpu));
  return clean.length > 0
    ? { used: clean, label: `${clean.length} of ${all.length}` }
    : { used: all, label: `${all.length} *` };
}

function pooledP99(blocks: Block[], timing: Timing): string {
  return number(
    quantile(
      blocks.flatMap((block) => times(block, timing)),
      0.99,
    ),
    1,
  );
}

function number(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '';
}

/** A Markdown table that is also readable as it stands. */
export function table(header: string[], rows: string[][]): string {
  const widths = header.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(header), line(rule), ...rows.map(line)].join('\n');
}
