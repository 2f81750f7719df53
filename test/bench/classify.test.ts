import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findFlaws } from '../../bench/patterns/audit.ts';
import type { CellResult } from '../../bench/patterns/audit.ts';
import { classify, countVerdicts } from '../../bench/patterns/classify.ts';
import type { Experience, Expected } from '../../bench/patterns/classify.ts';
import { rateWhere } from '../../bench/patterns/crossing.ts';
import { cell } from './support.ts';

const DEADLINE_MS = 1000;
const answers: Expected = { status: 'succeeded', answer: 'abc' };
const hangs: Expected = { status: 'timeout', answer: 'abc' };
const told = (status: string, at: number, result?: unknown): Experience => ({
  dueAt: 100,
  accepted: true,
  told: { status, at, result },
});

const CASES: [string, Experience, Expected, string][] = [
  ['the answer in time', told('succeeded', 1100, { n: 1, answer: 'abc' }), answers, 'succeeded'],
  ['the answer after the deadline', told('succeeded', 1101, { answer: 'abc' }), answers, 'late'],
  ['the answer to something else', told('succeeded', 500, { answer: 'xyz' }), answers, 'wrong'],
  ['a success without an answer', told('succeeded', 500), answers, 'wrong'],
  ['a failure that was none, also if it is late', told('failed', 5000), answers, 'wrong'],
  ['a timeout of an agent that would have answered', told('timeout', 500), answers, 'wrong'],
  ['the timeout of an agent that hung', told('timeout', 500), hangs, 'succeeded'],
  ['that timeout after the deadline', told('timeout', 1200), hangs, 'late'],
  ['a failure of an agent that hung', told('failed', 500), hangs, 'wrong'],
  ['nothing, and never accepted', { dueAt: 100, accepted: false }, answers, 'refused'],
  ['nothing', { dueAt: 100, accepted: true }, answers, 'lost'],
  ['only that it is not over', { dueAt: 100, accepted: true, unfinished: true }, answers, 'stuck'],
];

for (const [what, experience, expected, verdict] of CASES)
  test(`${verdict}: told ${what}`, () => {
    assert.equal(classify(experience, expected, DEADLINE_MS), verdict);
  });

test('a run whose books balance and whose faults hit is not void', () => {
  assert.deepEqual(findFlaws(cell(), 3), []);
});

const VOID: [string, Partial<CellResult>, number, RegExp][] = [
  ['an execution is not accounted for', { ledger: countVerdicts(['succeeded', 'lost']) }, 3, /2 accounted for/],
  ['fewer were submitted than planned', {}, 4, /3 submitted instead of 4/],
  ['a planned kill did not happen', { planned: { 'kill orchestrator': 3, outage: 1 } }, 3, /planned 3, happened 2/],
  [
    'a kill hit nothing',
    { planned: { 'kill api': 1 }, fired: [{ kind: 'kill api', inFlight: 0, tookMs: 1 }] },
    3,
    /nothing in flight/,
  ],
  ['something failed without faults', { level: { name: 'none', rate: 0 }, planned: {} }, 3, /without any fault/],
  [
    'a process ended without faults',
    { level: { name: 'none', rate: 0 }, planned: {}, accidents: 1, ledger: countVerdicts(Array(3).fill('succeeded')) },
    3,
    /processes ended/,
  ],
  ['others had the machine', { machine: { busyPct: 97, foreignPct: 30, stealPct: 0 } }, 3, /others took 30 %/],
  ['its host had it', { machine: { busyPct: 50, foreignPct: Number.NaN, stealPct: 25 } }, 3, /others took 25 %/],
];

for (const [what, changes, executions, reason] of VOID)
  test(`a run is void if ${what}`, () => {
    const flaws = findFlaws(cell(changes), executions);
    assert.equal(flaws.length, 1, flaws.join('; '));
    assert.match(flaws[0] ?? '', reason);
  });

test('the rate at which a curve falls through a share is between the points around it', () => {
  const curve = [
    { rate: 4, success: 0.6 },
    { rate: 0, success: 1 },
    { rate: 2, success: 0.9 },
  ];
  assert.equal(rateWhere(curve, 0.9), 2);
  assert.ok(Math.abs((rateWhere(curve, 0.95) ?? 0) - 1) < 1e-9);
  assert.ok(Math.abs((rateWhere(curve, 0.75) ?? 0) - 3) < 1e-9);
  assert.equal(rateWhere(curve, 0.5), undefined, 'below all that was measured');
  assert.equal(rateWhere(curve.slice(0, 1), 0.7), undefined, 'nothing above it was measured');
});
