import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderReport } from '../../bench/report.ts';
import type { Block } from '../../bench/report.ts';
import type { SubjectName } from '../../bench/subjects.ts';

const processMs = {
  server: 100,
  api: 10,
  worker: 50,
  'restate server': 8,
  'restate service': 4,
  agent: 1,
  client: 1,
};
const block = (subject: SubjectName, over: Partial<Block> = {}): Block => ({
  subject,
  concurrency: 1,
  round: 1,
  turns: Array.from({ length: 10 }, () => ({ answerMs: 5, webhookMs: 20 })),
  seconds: 2,
  errors: [],
  cpu: { processMs, foreignPct: 0, stealPct: 0 },
  ...over,
});
const report = (blocks: Block[]) => renderReport(blocks, { serverVersion: '1', rounds: 1, seconds: 2, notes: [] });
const rowOf = (text: string, title: string) => {
  const row = text.split('\n').find((line) => line.startsWith(`| ${title}`));
  return row?.split('|').map((cell) => cell.trim());
};

test('the CPU of a subject is that of those who work for it, not of those who idle beside it', () => {
  const text = report([block('perdureStart'), block('restateStart')]);
  const [, , , , , , , server, api, worker] = rowOf(text, 'D Restate /send + webhook') ?? [];
  assert.deepEqual([server, api, worker], ['0.8', '0.0', '0.4']);
  const cpu = rowOf(text, 'Restate: submit to webhook, async: CPU per execution');
  // (100 + 10 + 50 + 2) over (8 + 4 + 2).
  assert.equal(cpu?.[2], '11.57 (11.57-11.57)');
});

test('without peers there is no table of them, and no row of what was not measured', () => {
  const text = report([block('perdureStart'), block('bareStart')]);
  assert.doesNotMatch(text, /### Perdure divided by a peer/);
  assert.equal(rowOf(text, 'D Restate /send + webhook'), undefined);
  assert.equal(rowOf(text, 'C Perdure sync'), undefined);
});

test('noisy blocks do not count while there are others; where there are none the cell is marked', () => {
  const noisy = { processMs, foreignPct: 50, stealPct: 0 };
  const slow = Array.from({ length: 10 }, () => ({ webhookMs: 80 }));
  const fast = [block('perdureStart'), block('bareStart')];
  const disturbed = [
    block('perdureStart', { round: 2, cpu: noisy, turns: slow }),
    block('bareStart', { round: 2, cpu: noisy }),
  ];
  assert.equal(rowOf(report([...fast, ...disturbed]), '(1) submit to webhook, async: p50')?.[2], '1.00 (1.00-1.00)');
  assert.equal(rowOf(report(disturbed), '(1) submit to webhook, async: p50')?.[2], '4.00 (4.00-4.00) *');
});
