import type { CellResult } from './audit.ts';
import { PATTERN_NAMES, PATTERNS } from './patterns.ts';
import type { PatternName } from './patterns.ts';
import { ARTICLE, intervalOf, killedEvery, rateOf, short, successOf } from './report.ts';

const WIDTH = 960;
const HEIGHT = 520;
const PLOT = { left: 76, right: 664, top: 56, bottom: 436 };
/** Readable on white and on black. */
const INK = '#77818c';
const COLORS: Record<PatternName, string> = {
  P1: '#d9534f',
  P1r: '#c9871f',
  P3: '#3d8fd6',
  P3d: '#9a6fdc',
  P4: '#2aa35a',
};
const LABEL_HEIGHT = 17;
/** Patterns with the same success stand side by side. */
const DODGE = 5;

/** Success over fault rate, with intervals, and the article's figures as lines across: an SVG without a library. */
export function renderCurve(cells: CellResult[]): string {
  const levels = [...new Map(cells.map((cell) => [rateOf(cell), cell])).values()].toSorted(byRate);
  const floor = Math.max(0, Math.floor(Math.min(0.85, ...cells.map((cell) => intervalOf(cell).low)) * 10) / 10);
  const y = (share: number) => PLOT.bottom - ((share - floor) / (1 - floor)) * (PLOT.bottom - PLOT.top);
  const x = xScale(levels.map(rateOf));
  const names = PATTERN_NAMES.filter((name) => cells.some((cell) => cell.name === name));

  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" font-family="system-ui, sans-serif" font-size="13" fill="${INK}">`,
    '<title>Share of executions whose client learns the right outcome in time, over the fault rate</title>',
    text(PLOT.left, 26, 'Client learns the right outcome in time, % of executions', { size: 15, weight: 600 }),
    ...yAxis(floor, y),
    ...levels.map((cell) => xTick(x(rateOf(cell)), cell)),
    text(
      (PLOT.left + PLOT.right) / 2,
      HEIGHT - 12,
      'fault rate: how often each process is killed, all else in proportion (log scale)',
      {
        anchor: 'middle',
      },
    ),
    ...articleLines(y),
    ...names.map((name, i) =>
      series(
        COLORS[name],
        cells
          .filter((cell) => cell.name === name)
          .toSorted(byRate)
          .map((cell) => {
            const { low, high } = intervalOf(cell);
            const at = x(rateOf(cell)) + (i - (names.length - 1) / 2) * DODGE;
            return { x: at, y: y(successOf(cell)), low: y(low), high: y(high) };
          }),
      ),
    ),
    ...seriesLabels(names, cells, y),
    '</svg>',
    '',
  ].join('\n');
}

function byRate(a: CellResult, b: CellResult): number {
  return rateOf(a) - rateOf(b);
}

/** Logarithmic; a rate of 0 has its place to the left of all others. */
function xScale(rates: number[]): (rate: number) => number {
  const margin = 40;
  const above = rates.filter((rate) => rate > 0);
  const least = Math.log(Math.min(...above));
  const most = Math.log(Math.max(...above));
  const from = PLOT.left + margin + (rates.includes(0) && above.length > 0 ? 110 : 0);
  const to = PLOT.right - margin;
  return (rate) => {
    if (rate === 0) return PLOT.left + margin;
    return most === least ? (from + to) / 2 : from + ((Math.log(rate) - least) / (most - least)) * (to - from);
  };
}

function yAxis(floor: number, y: (share: number) => number): string[] {
  const steps = Array.from({ length: Math.round((1 - floor) * 10) + 1 }, (_, i) => floor + i / 10);
  return steps.flatMap((share) => [
    line(PLOT.left, y(share), PLOT.right, y(share), 'stroke-opacity="0.3"'),
    text(PLOT.left - 10, y(share) + 4.5, String(Math.round(share * 100)), { anchor: 'end' }),
  ]);
}

function xTick(at: number, cell: CellResult): string {
  return [
    line(at, PLOT.bottom, at, PLOT.bottom + 6),
    text(at, PLOT.bottom + 22, killedEvery(cell), { anchor: 'middle' }),
    text(at, PLOT.bottom + 40, cell.level.rate === 0 ? cell.level.name : `rate ${short(rateOf(cell))}${named(cell)}`, {
      anchor: 'middle',
    }),
  ].join('\n');
}

function named({ level }: CellResult): string {
  return level.name.startsWith('x') ? '' : ` (${level.name})`;
}

function articleLines(y: (share: number) => number): string[] {
  // The third figure cannot be told from 100 % here.
  return ARTICLE.filter(({ successPct }) => successPct < 99).flatMap(({ name, title, successPct }) => {
    const at = y(successPct / 100);
    return [
      line(PLOT.left, at, PLOT.right, at, `stroke-dasharray="6 5"`, COLORS[name]),
      text(PLOT.right + 8, at + 4.5, `the article’s ${title}: ${successPct}`, { fill: COLORS[name], size: 12 }),
    ];
  });
}

interface Mark {
  x: number;
  y: number;
  low: number;
  high: number;
}

function series(color: string, marks: Mark[]): string {
  const path = marks.map((mark, i) => `${i === 0 ? 'M' : 'L'}${round(mark.x)} ${round(mark.y)}`).join(' ');
  return [
    `<path d="${path}" fill="none" stroke="${color}" stroke-width="2"/>`,
    ...marks.map(
      (mark) =>
        line(mark.x, mark.low, mark.x, mark.high, 'stroke-width="2"', color) +
        `<circle cx="${round(mark.x)}" cy="${round(mark.y)}" r="3.5" fill="${color}"/>`,
    ),
  ].join('\n');
}

/** A legend in the order in which the curves end, beside the plot, below the article's lines. */
function seriesLabels(names: PatternName[], cells: CellResult[], y: (share: number) => number): string[] {
  const end = (name: PatternName) => {
    const own = cells
      .filter((cell) => cell.name === name)
      .toSorted(byRate)
      .at(-1);
    return own ? y(successOf(own)) : 0;
  };
  const sorted = names.toSorted((a, b) => end(a) - end(b) || names.indexOf(b) - names.indexOf(a));
  const taken = ARTICLE.filter(({ successPct }) => successPct < 99).map(({ successPct }) => y(successPct / 100));
  return sorted.map((name) => {
    let at = end(name);
    while (taken.some((other) => Math.abs(other - at) < LABEL_HEIGHT)) at++;
    taken.push(at);
    return text(PLOT.right + 8, at + 4.5, `${name} ${PATTERNS[name].title}`, { fill: COLORS[name], weight: 600 });
  });
}

function line(x1: number, y1: number, x2: number, y2: number, more = '', color = INK): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${color}" ${more}/>`;
}

interface TextStyle {
  anchor?: 'start' | 'middle' | 'end';
  size?: number;
  weight?: number;
  fill?: string;
}

function text(x: number, y: number, content: string, { anchor, size, weight, fill }: TextStyle = {}): string {
  const attributes = Object.entries({ 'text-anchor': anchor, 'font-size': size, 'font-weight': weight, fill })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}="${String(value)}"`)
    .join('');
  return `<text x="${round(x)}" y="${round(y)}"${attributes}>${content}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
