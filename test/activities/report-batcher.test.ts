import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReportBatcher, maxReportedBytes } from '../../activities/report-batcher.ts';
import type { AgentReport } from '../../workflows/execution.ts';

function collector(maxBytes: number) {
  const sent: AgentReport[] = [];
  const batcher = createReportBatcher((reports) => Promise.resolve(void sent.push(...reports)), maxBytes);
  return { sent, batcher };
}

test('past its bound a stream adds one note and nothing else, and its progress goes on', async () => {
  const { sent, batcher } = collector(3_000);
  for (let i = 0; i < 100_000; i++) await batcher.add({ type: 'other', name: 'step', data: { i } });
  await batcher.add({ type: 'progress', progressPct: 1 });
  await batcher.add({ type: 'other', name: 'x', data: {} });
  await batcher.add({ type: 'progress', progressPct: 2 });
  await batcher.end();
  const names = sent.map((report) => (report.type === 'other' ? report.name : report.type));
  assert.deepEqual(names.slice(-2), ['cut', 'progress']);
  assert.ok(names.slice(0, -2).every((name) => name === 'step') && names.length > 10, names.join());
  assert.ok(JSON.stringify(sent.slice(0, -2)).length < 1_100);
  assert.deepEqual(sent.at(-1), { type: 'progress', progressPct: 2 });
});

test('all attempts together stay below 16 MiB, however many there are', () => {
  const bounds = Array.from({ length: 1000 }, (_, i) => maxReportedBytes(i + 1));
  assert.deepEqual(
    bounds.slice(0, 3),
    [8, 4, 2].map((mib) => mib * 1024 * 1024),
  );
  assert.ok(bounds.reduce((sum, bytes) => sum + bytes, 0) < 16 * 1024 * 1024);
});
