import { table } from '../table.ts';
import { quantile } from '../statistics.ts';
import type { CellResult } from './audit.ts';
import { VERDICTS } from './classify.ts';
import { rateWhere } from './crossing.ts';
import { clopperPearson } from './interval.ts';
import type { MachineUse } from './machine.ts';
import { LIMITS, methodOf } from './method.ts';
import { PATTERN_NAMES, PATTERNS } from './patterns.ts';
import type { PatternName } from './patterns.ts';
import { FACTOR, FAULTS, inRealTime, LEVELS } from './settings.ts';

export interface RunFacts {
  date: string;
  command: string;
  commit: string;
  machine: string;
  seed: number;
  perSecond: number;
}

/** What the async-API article says of the patterns that it compares, without N, fault model or method. */
export const ARTICLE: { name: PatternName; title: string; successPct: number; overheadMs: number }[] = [
  { name: 'P1', title: 'simple webhook', successPct: 88.4, overheadMs: 50 },
  { name: 'P3', title: 'SSE + polling', successPct: 94.2, overheadMs: 120 },
  { name: 'P4', title: 'Temporal', successPct: 99.98, overheadMs: 450 },
];

export function successOf({ ledger, submitted }: CellResult): number {
  return ledger.succeeded / submitted;
}

export function intervalOf({ ledger, submitted }: CellResult): { low: number; high: number } {
  return clopperPearson(ledger.succeeded, submitted);
}

/** The fault rate that the load really had: a short one cannot hold a fraction of a kill. */
export function rateOf({ loadMs, planned }: CellResult): number {
  return ((planned['kill orchestrator'] ?? 0) * FAULTS.killEveryMs) / loadMs;
}

/** How often each process was really killed, in real time. */
export function killedEvery({ loadMs, planned }: CellResult): string {
  const kills = planned['kill orchestrator'] ?? 0;
  return kills === 0 ? 'never' : `every ${inRealTime(loadMs / kills)}`;
}

export function summaryLine(cell: CellResult): string {
  const { name, level, submitted, fired, ledger, duplicateCalls, duplicateWebhooks, overheadsMs, flaws } = cell;
  const failures = VERDICTS.filter((verdict) => verdict !== 'succeeded')
    .map((verdict) => `${verdict}=${ledger[verdict]}`)
    .join(' ');
  return [
    `${level.name} ${name.padEnd(3)} N=${submitted} faults=${fired.length} success=${percentWithInterval(cell)} ${failures}`,
    `dup_calls=${duplicateCalls} dup_webhooks=${duplicateWebhooks}`,
    `overhead p50/p99=${fixed(quantile(overheadsMs, 0.5), 1)}/${fixed(quantile(overheadsMs, 0.99), 0)} ms`,
    ...flaws.map((flaw) => `VOID: ${flaw}`),
  ].join('  ');
}

export function renderReport(cells: CellResult[], facts: RunFacts): string {
  const levels = [...new Set(cells.map(({ level }) => level.name))];
  return [
    '# Patterns of async agent APIs under faults',
    '',
    `- Date: ${facts.date}, commit ${facts.commit}`,
    `- Command: \`${facts.command}\`, seed ${facts.seed}, ${facts.perSecond} executions per second and pattern`,
    `- Machine: ${facts.machine}`,
    `- Time: compressed ${FACTOR} times. Spans below are in real time unless they are called measured`,
    `- Noise: ${levels.map((level) => noiseOf(level, cells)).join('; ')}`,
    '',
    ...levels.flatMap((level) => levelSection(cells.filter((cell) => cell.level.name === level))),
    '## Overhead, measured',
    '',
    overheadTable(cells),
    '',
    'The time from the moment an execution was due to be submitted until the client knew the outcome, less the time the',
    'agent worked for the answer it gave. In milliseconds as measured, not multiplied back. "to P1" divides by P1 at the',
    'same level of this run. Without faults each pattern ran alone; at light faults P4 ran apart from the others, and the',
    'figures contain retries, restarts and work that was done again.',
    '',
    '## Beside the article',
    '',
    ...articleSection(cells),
    '',
    '## Faults that happened',
    '',
    faultTable(cells),
    '',
    methodOf(),
    '',
    LIMITS,
    '',
  ].join('\n');
}

/** Of the patterns of this level, the one that had it worst. */
function noiseOf(level: string, cells: CellResult[]): string {
  const here = cells.filter((cell) => cell.level.name === level).map(({ machine }) => machine);
  const most = (key: keyof MachineUse) => fixed(Math.max(...here.map((use) => use[key])), 0);
  return `${level}: machine busy ${most('busyPct')} %, by others ${most('foreignPct')} %, steal ${most('stealPct')} %`;
}

function levelSection(cells: CellResult[]): string[] {
  const [first] = cells;
  if (!first) return [];
  const { level } = first;
  const title =
    level.rate === 0
      ? `## ${level.name}: nothing goes wrong`
      : `## ${level.name}: fault rate ${short(rateOf(first))}, every process killed ${killedEvery(first)}`;
  const header = ['', 'N', 'success % [95 % interval]', ...VERDICTS.slice(1), 'duplicate calls', 'duplicate webhooks'];
  const rows = cells.map((cell) => [
    `${cell.name} ${PATTERNS[cell.name].title}`,
    String(cell.submitted),
    percentWithInterval(cell),
    ...VERDICTS.slice(1).map((verdict) => String(cell.ledger[verdict])),
    String(cell.duplicateCalls),
    String(cell.duplicateWebhooks),
  ]);
  return [title, '', table(header, rows), ''];
}

function overheadTable(cells: CellResult[]): string {
  const compared = cells.filter(({ level }) => level.rate === LEVELS.none || level.rate === LEVELS.light);
  const levels = [...new Set(compared.map(({ level }) => level.name))];
  const header = ['', ...levels.flatMap((level) => [`${level} p50`, 'to P1', `${level} p99`, 'to P1'])];
  const rows = PATTERN_NAMES.filter((name) => compared.some((cell) => cell.name === name)).map((name) => [
    `${name} ${PATTERNS[name].title}`,
    ...levels.flatMap((level) => {
      const overheads = (wanted: PatternName) =>
        compared.find((cell) => cell.name === wanted && cell.level.name === level)?.overheadsMs ?? [];
      return [0.5, 0.99].flatMap((q) => {
        const own = quantile(overheads(name), q);
        return [fixed(own, 1), fixed(own / quantile(overheads('P1'), q), 2)];
      });
    }),
  ]);
  return table(header, rows);
}

function articleSection(cells: CellResult[]): string[] {
  const header = [
    '',
    'article: success %',
    'overhead ms',
    'ours: success %, by fault rate',
    'overhead p50 ms, no faults',
  ];
  const claims = ARTICLE.filter(({ name }) => cells.some((cell) => cell.name === name));
  const rows = claims.map(({ name, title, successPct, overheadMs }) => {
    const own = cells.filter((cell) => cell.name === name);
    const quiet = own.find(({ level }) => level.rate === 0);
    return [
      `${title} (${name})`,
      String(successPct),
      String(overheadMs),
      own.map((cell) => `${short(rateOf(cell))}: ${percent(successOf(cell))}`).join(', ') || '-',
      fixed(quantile(quiet?.overheadsMs ?? [], 0.5), 1),
    ];
  });
  if (rows.length === 0) return ['Nothing of what the article compares was run.'];
  return [table(header, rows), '', ...claims.map((claim) => crossingLine(claim, cells)), '', NO_NUMBER_ALONE];
}

const NO_NUMBER_ALONE = `One gets such figures, better or worse ones, by choosing how often things fail: a success rate without its fault rate says
nothing about a pattern.`;

function crossingLine({ name, title, successPct }: (typeof ARTICLE)[number], cells: CellResult[]): string {
  const own = cells.filter((cell) => cell.name === name);
  const most = Math.max(0, ...own.map(({ submitted }) => submitted));
  if (most * (1 - successPct / 100) < 1)
    return `- ${title}: ${most} executions cannot tell ${successPct} % from 100 %.`;
  const points = own.map((cell) => ({ rate: rateOf(cell), success: successOf(cell) }));
  const rate = rateWhere(points, successPct / 100);
  if (rate === undefined || rate === 0)
    return `- ${title}: our curve does not meet ${successPct} % at the rates measured.`;
  const kills = inRealTime(FAULTS.killEveryMs / rate);
  return `- ${title}: our curve meets ${successPct} % at fault rate ${fixed(rate, 2)}, a process that is killed every ${kills} and all else in proportion.`;
}

function faultTable(cells: CellResult[]): string {
  const header = [
    '',
    '',
    'kills',
    'in flight at a kill',
    'back after, measured s',
    'outages',
    'webhooks refused',
    'connections broken',
    'cut idle',
    'agent errors',
    'crashes',
    'hangs',
    'submits repeated',
    'processes ended by themselves',
  ];
  const rows = cells
    .filter(({ level }) => level.rate > 0)
    .map((cell) => {
      const kills = cell.fired.filter(({ kind }) => kind.startsWith('kill'));
      return [
        cell.level.name,
        cell.name,
        String(kills.length),
        span(kills.map(({ inFlight }) => inFlight)),
        span(
          kills.map(({ tookMs }) => tookMs / 1000),
          1,
        ),
        String(cell.fired.filter(({ kind }) => kind === 'outage').length),
        String(cell.refusedWebhooks),
        String(cell.cuts.broken),
        String(cell.cuts.idle),
        String(cell.agentFaults.errors),
        String(cell.agentFaults.crashes),
        String(cell.agentFaults.hangs),
        String(cell.failedSubmits),
        String(cell.accidents),
      ];
    });
  return table(header, rows);
}

function span(values: number[], digits = 0): string {
  return values.length === 0 ? '' : `${Math.min(...values).toFixed(digits)}-${Math.max(...values).toFixed(digits)}`;
}

function percentWithInterval(cell: CellResult): string {
  const { low, high } = intervalOf(cell);
  return `${percent(successOf(cell))} [${percent(low)}, ${percent(high)}]`;
}

/** Rounded down: 100.00 is said of nothing that failed. */
function percent(share: number): string {
  return (Math.floor(share * 10_000 + 1e-9) / 100).toFixed(2);
}

/** For rates, which are round in a full run. */
export function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function fixed(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '-';
}
