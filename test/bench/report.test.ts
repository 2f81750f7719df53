import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countVerdicts } from '../../bench/patterns/classify.ts';
import { renderCurve } from '../../bench/patterns/curve.ts';
import { PATTERN_NAMES } from '../../bench/patterns/patterns.ts';
import { renderReport } from '../../bench/patterns/report.ts';
import { parseLevel } from '../../bench/patterns/settings.ts';
import { cell } from './support.ts';

const FACTS = { date: '2026-01-01', command: 'c', commit: 'abc1234', machine: 'm', seed: 1, perSecond: 6 };

/** P1 loses a tenth of its executions per unit of the fault rate, the others nothing. */
const CELLS = ['none', 'light', '2', 'heavy'].map(parseLevel).flatMap((level) =>
  PATTERN_NAMES.map((name) => {
    const lost = name === 'P1' ? 100 * level.rate : 0;
    return cell({
      name,
      level,
      submitted: 1000,
      ledger: { ...countVerdicts([]), succeeded: 1000 - lost, lost },
      planned: { 'kill orchestrator': 2 * level.rate },
    });
  }),
);

test('the report says at which fault rate a figure of the article is ours', () => {
  const report = renderReport(CELLS, FACTS);
  // 88.4 % is at 1.16 of what loses 10 % at 1: a kill every 2 h / 1.16.
  assert.match(
    report,
    /simple webhook: our curve meets 88\.4 % at fault rate 1\.16, a process that is killed every 1\.72 h/,
  );
  assert.match(report, /SSE \+ polling: our curve does not meet 94\.2 %/);
  assert.match(report, /Temporal: 1000 executions cannot tell 99\.98 % from 100 %/);
  assert.match(report, /## heavy: fault rate 4, every process killed every 30 min/);
  assert.match(report, /P1 simple webhook +\| 1000 \| +90\.00 \[87\.97, 91\.78\] \| +100 \|/);
  assert.doesNotMatch(report, /NaN|undefined/);
});

test('a success rate is never rounded up to 100', () => {
  const report = renderReport(
    [cell({ submitted: 100_000, ledger: { ...countVerdicts([]), succeeded: 99_999, lost: 1 } })],
    FACTS,
  );
  assert.match(report, /100000 \| +99\.99 \[/);
});

test('a load that was too short for its rate is shown at the rate that it had', () => {
  const short = cell({ loadMs: cell().loadMs / 8, planned: { 'kill orchestrator': 1 } });
  assert.match(renderReport([short], FACTS), /## light: fault rate 4, every process killed every 30 min/);
});

test('the curve stays within its frame and names its axes', () => {
  for (const cells of [CELLS, CELLS.slice(0, 1), CELLS.slice(5, 10)]) {
    const svg = renderCurve(cells);
    assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
    const [, width = '', height = ''] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg) ?? [];
    for (const [, x, y] of svg.matchAll(/cx="([^"]*)" cy="([^"]*)"/g)) {
      assert.ok(Number(x) > 0 && Number(x) < Number(width), x);
      assert.ok(Number(y) > 0 && Number(y) < Number(height), y);
    }
    assert.match(svg, /% of executions<\/text>/);
    assert.match(svg, /fault rate: how often each process is killed/);
  }
  assert.equal([...renderCurve(CELLS).matchAll(/<circle/g)].length, CELLS.length);
});
