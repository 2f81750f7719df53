import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogPart, LogRecord } from '../../api/log.ts';
import { followRun } from '../../api/run-log.ts';
import type { RunLook } from '../../api/run-members.ts';
import { createRunSources } from '../../api/run-sources.ts';
import type { OpenLog, RunEntry } from '../../api/run-sources.ts';
import { TooManyWatchers } from '../../api/watchers.ts';

const [A, B, C] = ['exec_aaaaaaaa', 'exec_bbbbbbbb', 'exec_cccccccc'];
const LOOK_MS = 30;

/** @param ms when it was recorded; the time is all that counts here */
function record(sequence: number, ms: number): LogRecord {
  return {
    sequence,
    at: new Date(ms).toISOString(),
    entry: { kind: 'report', report: { kind: 'note', data: {} } } as never,
  };
}

const part = (records: LogRecord[], more: Partial<LogPart> = {}): LogPart => ({
  records,
  isCaughtUp: true,
  isComplete: false,
  ...more,
});
const last = (...records: LogRecord[]) => part(records, { isComplete: true });
const notLast = (...records: LogRecord[]) => part(records, { isCaughtUp: false });

const never = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));

const named = (entries: RunEntry[]) =>
  entries.map(({ executionId, record: { sequence } }) => `${executionId[5]}${sequence}`);

function lookOf(executionIds: string[], more: Partial<RunLook> = {}): RunLook {
  return { begunAtMs: Date.now(), executionIds, closedAtMs: undefined, ...more };
}

/** Logs that give these parts, and how many of them are open. */
function logsOf(parts: Record<string, LogPart[]>) {
  const asked: string[] = [];
  let open = 0;
  const openLog: OpenLog = async function* (executionId, after) {
    open += 1;
    try {
      for (const one of parts[executionId] ?? []) {
        asked.push(executionId);
        yield { ...one, records: one.records.filter(({ sequence }) => sequence > after) };
      }
    } finally {
      open -= 1;
    }
  };
  return { openLog, asked, open: () => open };
}

async function caughtUp(openLog: OpenLog, executionIds: string[], sent = new Map<string, number>()) {
  const sources = createRunSources(openLog, sent);
  sources.join(executionIds);
  const pieces: string[][] = [];
  for await (const entries of sources.catchUp()) pieces.push(named(entries));
  sources.close();
  return pieces;
}

test('logs that come in parts are merged by time, and no part is asked for before the one before was taken', async () => {
  const { openLog, asked, open } = logsOf({
    [A]: [notLast(record(1, 10), record(2, 50)), notLast(), last(record(3, 60))],
    [B]: [notLast(record(1, 20)), last(record(2, 55), record(3, 90))],
    [C]: [last(record(1, 15), record(2, 52), record(3, 70))],
  });
  const sources = createRunSources(openLog, new Map());
  sources.join([A, B, C]);
  const pieces: [string[], number][] = [];
  for await (const entries of sources.catchUp()) pieces.push([named(entries), asked.length]);
  assert.deepEqual(pieces, [
    [['a1', 'c1', 'b1'], 3],
    [['a2'], 4],
    [['c2', 'b2', 'a3', 'c3', 'b3'], 6],
  ]);
  assert.ok(sources.isComplete());
  assert.equal(open(), 0, 'a log that is complete is not held');
});

test('entries of the same time go by execution and number, and a clock that goes back does not turn them round', async () => {
  const { openLog } = logsOf({
    [B]: [last(record(1, 10), record(2, 10))],
    [A]: [last(record(1, 10), record(2, 30), record(3, 5), record(4, 40))],
    [C]: [last(record(1, 20))],
  });
  assert.deepEqual(await caughtUp(openLog, [C, B, A]), [['a1', 'b1', 'b2', 'c1', 'a2', 'a3', 'a4']]);
});

test('what was sent is not read again, and an execution that is gone does not hold up the others', async () => {
  const { openLog } = logsOf({ [A]: [last(record(1, 10), record(2, 20))], [C]: [last(record(1, 15))] });
  const open: OpenLog = (id, after) => {
    if (id === B) throw Object.assign(new Error('workflow not found'), { code: 5 });
    return openLog(id, after);
  };
  assert.deepEqual(await caughtUp(open, [A, B, C], new Map([[A, 1]])), [['c1', 'a2']]);
});

test('the failure of one log is the failure of the whole while what is there is read, and leaves no log open', async () => {
  const { openLog, open } = logsOf({ [A]: [part([record(1, 10)])] });
  const failing: OpenLog = (id, after) => {
    if (id === B) throw new TooManyWatchers();
    return openLog(id, after);
  };
  const sources = createRunSources(failing, new Map());
  const look = lookOf([A, B]);
  sources.join(look.executionIds);
  const { signal } = new AbortController();
  const lookAgain = () => Promise.resolve(lookOf([A, B]));
  const run = followRun({ sources, look, lookAgain, lookMs: LOOK_MS, idleMs: 1_000, signal });
  await assert.rejects(run.next(), TooManyWatchers);
  await new Promise(setImmediate);
  assert.equal(open(), 0);
});

test('one that joins and finds no watcher is tried again, and the run is not complete without it', async () => {
  const stop = new AbortController();
  let refusals = 2;
  let open = 0;
  const openLog: OpenLog = async function* (id) {
    if (id === B && refusals-- > 0) throw new TooManyWatchers();
    open += 1;
    try {
      yield last(record(1, id === A ? 10 : 20));
    } finally {
      open -= 1;
    }
  };
  const sources = createRunSources(openLog, new Map());
  const look = lookOf([A]);
  sources.join(look.executionIds);
  const lookAgain = () => Promise.resolve(lookOf([A, B]));
  const parts = [];
  const following = { sources, look, lookAgain, lookMs: LOOK_MS, idleMs: 60_000, signal: stop.signal };
  for await (const { entries, isComplete } of followRun(following)) parts.push([named(entries), isComplete]);
  assert.deepEqual(parts, [
    [['a1'], false],
    [['b1'], false],
    [[], true],
  ]);
  assert.equal(refusals, -1);
  assert.equal(open, 0);
});

test('a log that ends before it is complete is opened again where it ended', async () => {
  const { openLog } = logsOf({ [A]: [part([record(1, 10)]), last(record(2, 20))] });
  const opened: number[] = [];
  const breaking: OpenLog = async function* (id, after) {
    opened.push(after);
    for await (const one of openLog(id, after)) {
      yield one;
      if (after === 0) return;
    }
  };
  const sources = createRunSources(breaking, new Map());
  const look = lookOf([A], { closedAtMs: 0 });
  sources.join(look.executionIds);
  const { signal } = new AbortController();
  const all = [];
  const lookAgain = () => Promise.resolve(look);
  for await (const { entries } of followRun({ sources, look, lookAgain, lookMs: LOOK_MS, idleMs: 60_000, signal }))
    all.push(...named(entries));
  assert.deepEqual(all, ['a1', 'a2']);
  assert.deepEqual(opened, [0, 1]);
});

test('while nothing happens a part without entries comes now and then', async () => {
  const stop = new AbortController();
  const openLog: OpenLog = async function* () {
    yield part([record(1, 10)]);
    await never(stop.signal);
  };
  const sources = createRunSources(openLog, new Map());
  const look = lookOf([A]);
  sources.join(look.executionIds);
  const following = { sources, look, lookAgain: () => Promise.resolve(look), lookMs: 5, signal: stop.signal };
  const parts = [];
  for await (const { entries } of followRun({ ...following, idleMs: 60 })) {
    parts.push({ entries: named(entries), at: Date.now() });
    if (parts.length === 3) stop.abort();
  }
  assert.deepEqual(
    parts.map(({ entries }) => entries),
    [['a1'], [], []],
  );
  const [first, second, third] = parts.map(({ at }) => at);
  assert.ok((second ?? 0) - (first ?? 0) >= 59 && (third ?? 0) - (second ?? 0) >= 59, 'not with every look');
});

test('a run is complete at once where its executions closed long before the look, else after a later look', async () => {
  const { openLog } = logsOf({ [A]: [last(record(1, 10))] });
  const looksFor = async (look: RunLook) => {
    let looks = 0;
    const sources = createRunSources(openLog, new Map());
    sources.join(look.executionIds);
    const lookAgain = () => {
      looks += 1;
      return Promise.resolve(lookOf([A], { closedAtMs: Date.now() + 60_000 }));
    };
    const { signal } = new AbortController();
    let isComplete = false;
    for await (const one of followRun({ sources, look, lookAgain, lookMs: LOOK_MS, idleMs: 60_000, signal }))
      ({ isComplete } = one);
    assert.ok(isComplete);
    return looks;
  };
  assert.equal(await looksFor(lookOf([A], { closedAtMs: Date.now() - 2 * LOOK_MS })), 0);
  assert.ok((await looksFor(lookOf([A], { closedAtMs: Date.now() - 1 }))) > 0, 'the clock of Temporal may be ahead');
});

test('a run that grows too large ends without being complete; one that is left closes its logs', async () => {
  for (const isTooLarge of [true, false]) {
    const stop = new AbortController();
    let open = 0;
    const openLog: OpenLog = async function* (id) {
      open += 1;
      try {
        yield part([record(1, 10)]);
        await never(stop.signal);
      } finally {
        open -= 1;
        assert.ok(id);
      }
    };
    const sources = createRunSources(openLog, new Map());
    const look = lookOf([A]);
    sources.join(look.executionIds);
    const many = Array.from({ length: 201 }, (_, i) => `exec_${String(i).padStart(8, '0')}`);
    const lookAgain = () => Promise.resolve(lookOf(isTooLarge ? many : [A, B]));
    const run = followRun({ sources, look, lookAgain, lookMs: LOOK_MS, idleMs: 60_000, signal: stop.signal });
    const parts = [];
    for await (const { entries, isComplete } of run) {
      parts.push(named(entries));
      assert.equal(isComplete, false);
      if (!isTooLarge && parts.length === 2) break;
    }
    assert.deepEqual(parts, isTooLarge ? [['a1']] : [['a1'], ['b1']]);
    stop.abort();
    await new Promise(setImmediate);
    assert.equal(open, 0);
  }
});
