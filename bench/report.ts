import { isNoisy } from './cpu.ts';
import type { CpuUse } from './cpu.ts';
import type { Turn } from './load.ts';
import { AGENTFIELD, NOTES } from './notes.ts';
import type { PeerName } from './peers/peer.ts';
import { median, quantile } from './statistics.ts';
import { PEER_OF, SUBJECTS } from './subjects.ts';
import type { SubjectName } from './subjects.ts';
import { errorLine, factLines, noiseLine } from './suite.ts';
import { number, table } from './table.ts';

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
  serverVersion: string;
  rounds: number;
  seconds: number;
  /** What there is to say about peers. */
  notes: string[];
}

type Metric = (block: Block) => number;
type Timing = 'answerMs' | 'webhookMs';

const EXECUTION_SUBJECTS: SubjectName[] = [
  'direct',
  'bareCall',
  'perdureCall',
  'serveCall',
  'bareBoth',
  'perdureBoth',
  'serveBoth',
  'bareStart',
  'perdureStart',
  'serveStart',
  'restateBoth',
  'dbosBoth',
  'restateStart',
  'dbosStart',
];
const READ_SUBJECTS: SubjectName[] = ['describe', 'poll'];

const times = (block: Block, timing: Timing) =>
  block.turns.map((turn) => turn[timing]).filter((ms) => ms !== undefined);
const p50 =
  (timing: Timing): Metric =>
  (block) =>
    median(times(block, timing));
const rate: Metric = ({ turns, seconds }) => turns.length / seconds;
/** Whose processes work in the blocks of a subject, by the column that shows them. Of others only the idling is left out. */
interface Roles {
  server: string[];
  api: string[];
  worker: string[];
}

const OURS: Roles = { server: ['server'], api: ['api'], worker: ['worker', 'serve', 'bare worker'] };
const PEER_ROLES: Record<PeerName, Roles> = {
  restate: { server: ['restate server'], api: [], worker: ['restate service'] },
  dbos: { server: ['postgres'], api: [], worker: ['dbos service'] },
};

function rolesOf(subject: SubjectName): Roles {
  const peer = PEER_OF[subject];
  return peer ? PEER_ROLES[peer] : OURS;
}

const cpuOf =
  (namesOf: (roles: Roles) => string[]): Metric =>
  ({ subject, cpu, turns }) =>
    namesOf(rolesOf(subject)).reduce((sum, name) => sum + (cpu.processMs[name] ?? 0), 0) / turns.length;
const cpuOfAll = cpuOf(({ server, api, worker }) => [...server, ...api, ...worker, 'agent', 'client']);

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

const asyncStart = { over: 'perdureStart', under: 'bareStart' } as const;
const asyncServe = { over: 'serveStart', under: 'bareStart' } as const;
const syncCall = { over: 'perdureCall', under: 'bareCall' } as const;
const syncServe = { over: 'serveCall', under: 'bareCall' } as const;
const syncBoth = { over: 'perdureBoth', under: 'bareBoth' } as const;
const bothServe = { over: 'serveBoth', under: 'bareBoth' } as const;
const syncForTwo = { over: 'perdureCall', under: 'bareBoth' } as const;
const serveForTwo = { over: 'serveCall', under: 'bareBoth' } as const;
const poll = { over: 'poll', under: 'describe' } as const;
const httpFloor = { over: 'poll', under: 'direct' } as const;
const SERVE = 'in one process';

const COMPARISONS: Comparison[] = [
  { title: '(1) submit to webhook, async: p50', ...asyncStart, metric: p50('webhookMs') },
  { title: `(1) ${SERVE}: p50`, ...asyncServe, metric: p50('webhookMs') },
  { title: '(1) submit to webhook, async: rate', ...asyncStart, metric: rate, aim: atLeast(1.25, 16) },
  { title: `(1) ${SERVE}: rate`, ...asyncServe, metric: rate, aim: atLeast(1.25, 16) },
  { title: '(1) submit to webhook, async: CPU per execution', ...asyncStart, metric: cpuOfAll },
  { title: `(1) ${SERVE}: CPU per execution`, ...asyncServe, metric: cpuOfAll },
  { title: '(2) sync without webhook: p50', ...syncCall, metric: p50('answerMs') },
  { title: `(2) ${SERVE}: p50`, ...syncServe, metric: p50('answerMs') },
  { title: '(2) sync without webhook: rate', ...syncCall, metric: rate },
  { title: `(2) ${SERVE}: rate`, ...syncServe, metric: rate },
  { title: '(2) sync without webhook: CPU per execution', ...syncCall, metric: cpuOfAll },
  { title: '(3) sync + webhook: p50 of the answer', ...syncBoth, metric: p50('answerMs') },
  { title: `(3) ${SERVE}: p50 of the answer`, ...bothServe, metric: p50('answerMs') },
  { title: '(3) sync + webhook: p50 of the webhook', ...syncBoth, metric: p50('webhookMs') },
  { title: '(3) sync + webhook: rate', ...syncBoth, metric: rate, aim: atLeast(1.25, 16) },
  { title: `(3) ${SERVE}: rate`, ...bothServe, metric: rate, aim: atLeast(1.25, 16) },
  { title: '(3) sync + webhook: CPU per execution', ...syncBoth, metric: cpuOfAll },
  { title: '(4) sync, against two activities: p50', ...syncForTwo, metric: p50('answerMs'), aim: atMost(0.6, 1) },
  { title: `(4) ${SERVE}: p50`, ...serveForTwo, metric: p50('answerMs'), aim: atMost(0.6, 1) },
  { title: '(5) status poll, against describe(): p50', ...poll, metric: p50('answerMs'), aim: atMost(0.2, 1) },
  { title: '(5) status poll, against describe(): rate', ...poll, metric: rate },
  { title: '(5) status poll, against describe(): CPU per read', ...poll, metric: cpuOfAll, aim: atMost(0.2, 1) },
  { title: '(5) status poll, against a direct HTTP call: p50', ...httpFloor, metric: p50('answerMs') },
];

const PEER_TITLES: Record<PeerName, string> = { restate: 'Restate', dbos: 'DBOS' };

const PEER_COMPARISONS: Comparison[] = (['restate', 'dbos'] as const).flatMap((peer) => {
  const start = { over: 'perdureStart', under: `${peer}Start` } as const;
  const both = { over: 'perdureBoth', under: `${peer}Both` } as const;
  const title = PEER_TITLES[peer];
  return [
    { title: `${title}: submit to webhook, async: p50`, ...start, metric: p50('webhookMs') },
    { title: `${title}: submit to webhook, async: rate`, ...start, metric: rate },
    { title: `${title}: submit to webhook, async: CPU per execution`, ...start, metric: cpuOfAll },
    { title: `${title}: sync + webhook: p50 of the answer`, ...both, metric: p50('answerMs') },
    { title: `${title}: sync + webhook: rate`, ...both, metric: rate },
    { title: `${title}: sync + webhook: CPU per execution`, ...both, metric: cpuOfAll },
  ];
});

export function renderReport(blocks: Block[], facts: RunFacts): string {
  const concurrencies = [...new Set(blocks.map((block) => block.concurrency))];
  return [
    '## Cost: latency, rate and CPU in a closed loop',
    '',
    ...factLines(facts.serverVersion),
    `- Blocks: ${facts.rounds} of ${facts.seconds} s per point`,
    ...facts.notes.map((note) => `- ${note}`),
    noiseLine(blocks.map((block) => block.cpu)),
    errorLine(blocks.flatMap((block) => block.errors)),
    '',
    '### Perdure divided by the bare SDK',
    '',
    table(
      ['', ...concurrencies.map((c) => `c=${c}`), 'aim', 'met'],
      COMPARISONS.map((comparison) => comparisonRow(blocks, comparison, concurrencies)),
    ),
    '',
    ...peerLines(blocks, concurrencies),
    ...concurrencies.flatMap((c) => [`### Executions, c=${c}`, '', executionTable(blocks, c), '']),
    '### Reads of a running execution',
    '',
    readTable(blocks, concurrencies),
    '',
    AGENTFIELD,
    '',
    NOTES,
    '',
  ].join('\n');
}

function peerLines(blocks: Block[], concurrencies: number[]): string[] {
  const here = PEER_COMPARISONS.filter(({ under }) => blocks.some((block) => block.subject === under));
  if (here.length === 0) return [];
  const rows = here.map((comparison) => comparisonRow(blocks, comparison, concurrencies).slice(0, -2));
  return ['### Perdure divided by a peer', '', table(['', ...concurrencies.map((c) => `c=${c}`)], rows), ''];
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
  const rows = measured(blocks, EXECUTION_SUBJECTS).map((subject) => {
    const { used, label } = countedBlocks(blocks, subject, concurrency);
    const middle = (metric: Metric, digits = 1) => number(median(used.map(metric)), digits);
    return [
      SUBJECTS[subject],
      middle(p50('answerMs')),
      pooledP99(used, 'answerMs'),
      middle(p50('webhookMs')),
      pooledP99(used, 'webhookMs'),
      middle(rate),
      middle(cpuOf((roles) => roles.server)),
      middle(cpuOf((roles) => roles.api)),
      middle(cpuOf((roles) => roles.worker)),
      middle(cpuOf(() => ['client'])),
      middle(cpuOf(() => ['agent'])),
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
    measured(blocks, READ_SUBJECTS).map((subject) => {
      const { used, label } = countedBlocks(blocks, subject, concurrency);
      const middle = (metric: Metric, digits: number) => number(median(used.map(metric)), digits);
      return [
        SUBJECTS[subject],
        String(concurrency),
        middle(p50('answerMs'), 2),
        pooledP99(used, 'answerMs'),
        middle(rate, 0),
        middle(
          cpuOf((roles) => roles.server),
          3,
        ),
        middle(
          cpuOf((roles) => roles.api),
          3,
        ),
        middle(
          cpuOf(() => ['client']),
          3,
        ),
        label,
      ];
    }),
  );
  return table(header, rows);
}

function measured(blocks: Block[], subjects: SubjectName[]): SubjectName[] {
  return subjects.filter((subject) => blocks.some((block) => block.subject === subject));
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
