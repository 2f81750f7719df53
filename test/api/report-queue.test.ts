import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReportQueue, pauseAfter } from '../../api/report-queue.ts';
import type { AgentReport } from '../../workflows/execution.ts';

const DAY_MS = 24 * 3_600_000;
/** A signal, and the workflow task that it brings about. */
const EVENTS_PER_SIGNAL = 4;

test('however long an agent reports, the history of a call in flight is full after weeks, not hours', () => {
  let [events, ms] = [0, 0];
  // As docs/agent-protocol.md has it: at most a second between signals, and more when the history is long.
  while (events < 9_000 * EVENTS_PER_SIGNAL) {
    ms += Math.max(1_000, pauseAfter(events));
    events += EVENTS_PER_SIGNAL;
  }
  assert.ok(ms > 10 * DAY_MS, `${ms / DAY_MS} days`);
  assert.equal(pauseAfter(9_999), 0, 'a history of ordinary length is not slowed down');
  assert.ok(pauseAfter(30_000) > 30_000);
});

test('with a longer pause batches get wider, and nothing is left out', async (t) => {
  // The pauses of the queue do not keep a process alive.
  const alive = setInterval(() => undefined, 1_000);
  t.after(() => clearInterval(alive));
  const sent: AgentReport[][] = [];
  const queue = createReportQueue(async (_id, reports) => void sent.push(reports), { firstPauseMs: 1 });
  const note = (text: string): AgentReport => ({ type: 'other', name: 'note', data: { text } });
  const first = queue.add('exec_1', [note('0')], 200);
  const rest = Array.from({ length: 500 }, (_, i) => queue.add('exec_1', [note(String(i + 1))], 200));
  await Promise.all([first, ...rest]);
  assert.equal(sent.length, 2);
  assert.deepEqual(
    sent.flat().map((report) => report.type === 'other' && report.data['text']),
    Array.from({ length: 501 }, (_, i) => String(i)),
  );
});
