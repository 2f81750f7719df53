import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mapLimited } from '../../common/map-limited.ts';
import { acceptingAgent } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { followEvents } from '../support/sse-client.ts';
import type { SseEvent, SseStream } from '../support/sse-client.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

const shared = sharedContext();
let agent: AcceptingAgent;
let system: System;

before(async () => {
  agent = await acceptingAgent(shared);
  const streaming = await httpServer(shared, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.end(STREAMED.map((frame) => `${JSON.stringify(frame)}\n`).join(''));
  });
  system = await startSystem(shared, { agentNodes: { a: agent.url, s: streaming.url } });
});
after(shared.close);

const STREAMED = [
  { type: 'progress', progress_pct: 10 },
  { type: 'step', kind: 'thought', name: 'plan' },
  { type: 'result', result: { answer: 42 } },
];
const JSON_PAGES = { accept: 'application/json' };
const BOTH_WAYS: Record<string, string>[] = [{}, JSON_PAGES];

const newRun = () => `run_${randomUUID()}`;
const eventsOf = (run: string) => `/api/v1/runs/${run}/events`;

async function start(target: string, run: string, at: System = system): Promise<string> {
  const { status, body, text } = await at.post(`/api/v1/execute/async/${target}`, {}, { 'x-run-id': run });
  assert.equal(status, 202, text);
  return body.execution_id as string;
}

/** A stream of a run that visibility knows, which is a moment after its start. */
async function follow(run: string, headers: Record<string, string> = {}, query = '', at = system): Promise<SseStream> {
  for (;;) {
    const stream = await followEvents(`${at.url}${eventsOf(run)}${query}`, headers);
    if (stream.status !== 404) return stream;
  }
}

/** The first page of a run, once visibility knows so many executions of it. */
async function visible(run: string, executions: number, at = system): Promise<Body> {
  for (;;) {
    const { status, body } = await at.get(`${eventsOf(run)}?limit=1000`, JSON_PAGES);
    if (status === 200 && new Set(body.events.map(idOf)).size === executions) return body;
    await sleep(20);
  }
}

/** The entries of so many executions, once the run is complete. */
async function entriesOf(run: string, executions: number): Promise<Body[]> {
  for (;;) {
    const page = await visible(run, executions);
    if (page.is_complete) return page.events as Body[];
  }
}

const idOf = (event: Body) => event.execution_id as string;
const dataOf = (events: SseEvent[]) => events.filter(({ event }) => event !== 'end').map(({ data }) => data as Body);
const cursorsOf = (events: SseEvent[]) => events.flatMap(({ id }) => (id === undefined ? [] : [id]));

/** Of each execution its whole log, in order and each entry once, and of no other. */
async function assertWhole(entries: Body[], executionIds: string[]): Promise<void> {
  assert.deepEqual([...new Set(entries.map(idOf))].toSorted(), executionIds.toSorted());
  for (const id of executionIds) {
    const { body } = await system.get(`/api/v1/executions/${id}/events?limit=1000`, JSON_PAGES);
    assert.deepEqual(
      entries.filter((entry) => idOf(entry) === id),
      body.events.map((event: Body) => ({ execution_id: id, ...event })),
    );
  }
}

function inOrderOfTime(entries: Body[]): Body[] {
  const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  return entries.toSorted(
    (a, b) => compare(a.at, b.at) || compare(idOf(a), idOf(b)) || (a.sequence as number) - (b.sequence as number),
  );
}

test('the logs of three executions of a run are told apart, in order of time', async () => {
  const run = newRun();
  const ids = [await start('a.x', run), await start('a.x', run), await start('a.x', run)];
  await start('a.x', newRun()).then((other) => agent.report(other, { status: 'succeeded' }));
  for (const id of ids) await system.running(id);
  for (const progress_pct of [10, 20])
    for (const id of ids) await agent.report(id, { status: 'running', progress_pct });
  for (const id of ids) await agent.report(id, { status: 'succeeded', result: id });
  await visible(run, 3);
  const stream = await follow(run);
  assert.equal(stream.headers.get('content-type'), 'text/event-stream');
  const all = await stream.all();
  assert.equal(all.at(-1)?.event, 'end');
  assert.equal(all.at(-1)?.id, undefined);
  const entries = dataOf(all);
  await assertWhole(entries, ids);
  assert.deepEqual(entries, inOrderOfTime(entries));
  const progress = entries.filter(({ kind }) => kind === 'progress').map(idOf);
  assert.deepEqual(progress, [...ids, ...ids], 'not one execution after the other');
  assert.deepEqual(
    all.slice(0, -1).map(({ event }) => event),
    entries.map(({ kind }) => kind as string),
  );
});

test('an execution that is started later joins the stream, and each of its cursors is good to go on from', async () => {
  const run = newRun();
  const first = await start('a.x', run);
  await system.running(first);
  const stream = await follow(run);
  await stream.until('running');
  const second = await start('a.x', run);
  await agent.report(second, { status: 'running', progress_pct: 5 });
  const seen = await stream.until('progress');
  assert.equal(idOf(seen.at(-1)?.data), second);
  await agent.report(first, { status: 'succeeded' });
  await agent.report(second, { status: 'succeeded' });
  const all = await stream.all();
  assert.equal(all.at(-1)?.event, 'end');
  await assertWhole(dataOf(all), [first, second]);
  await Promise.all(
    cursorsOf(all).map(async (cursor, i) => {
      const rest = await (await follow(run, { 'last-event-id': cursor })).all();
      await assertWhole([...dataOf(all.slice(0, i + 1)), ...dataOf(rest)], [first, second]);
    }),
  );
});

test('a run whose known executions are complete is not over while another may have been started', async (own) => {
  const slow = await startSystem(own, { agentNodes: { a: agent.url }, limits: { runLookMs: 1_500 } });
  const run = newRun();
  const first = await start('a.x', run, slow);
  await slow.running(first);
  const stream = await follow(run, {}, '', slow);
  await agent.report(first, { status: 'succeeded' });
  await stream.until('outcome');
  const second = await start('a.x', run, slow);
  await agent.report(second, { status: 'succeeded' });
  const all = await stream.all();
  assert.equal(all.at(-1)?.event, 'end');
  await assertWhole(dataOf(all), [first, second]);
});

test('a stream that goes on at any of its cursors gives the rest, and nothing after the last one', async () => {
  const run = newRun();
  const ids = [await start('s.work', run), await start('s.work', run), await start('s.work', run)];
  await entriesOf(run, 3);
  const all = await (await follow(run)).all();
  await assertWhole(dataOf(all), ids);
  const cursors = ['0', ...cursorsOf(all)];
  assert.equal(cursors.length, all.length, 'each entry has one');
  assert.equal(new Set(cursors).size, cursors.length);
  await Promise.all(
    cursors.map(async (cursor, i) => {
      const isHeader = i % 2 === 0;
      const headers: Record<string, string> = isHeader ? { 'last-event-id': cursor } : {};
      const stream = await follow(run, headers, `?after=${isHeader ? '0' : cursor}`);
      assert.equal(stream.status, i < cursors.length - 1 ? 200 : 204);
      assert.deepEqual(await stream.all(), i < cursors.length - 1 ? all.slice(i) : []);
    }),
  );
});

test('a stream goes on at another replica, live, and replicas give the same bytes', async (own) => {
  const other = await startSystem(own, { agentNodes: { a: agent.url }, withWorker: false });
  const run = newRun();
  const ids = [await start('a.x', run), await start('a.x', run)];
  for (const id of ids) await system.running(id);
  await agent.report(ids[0] ?? '', { status: 'running', progress_pct: 1 });
  const first = await follow(run);
  const before = await first.until('progress');
  first.close();
  const second = await follow(run, { 'last-event-id': cursorsOf(before).at(-1) ?? '' }, '?after=0', other);
  assert.equal(second.status, 200, 'it is not over');
  await agent.report(ids[1] ?? '', { status: 'running', progress_pct: 2 });
  const between = await second.until('progress');
  second.close();
  const third = await follow(run, { 'last-event-id': cursorsOf(between).at(-1) ?? '' });
  for (const id of ids) await agent.report(id, { status: 'succeeded', result: 1 });
  const rest = await third.all();
  assert.equal(rest.at(-1)?.event, 'end');
  await assertWhole([...dataOf(before), ...dataOf(between), ...dataOf(rest)], ids);
  await entriesOf(run, 2);
  const bytes = await Promise.all(
    [system, other].map(async ({ url }) => {
      const stream = await fetch(`${url}${eventsOf(run)}`);
      const page = await fetch(`${url}${eventsOf(run)}`, { headers: JSON_PAGES });
      return [await stream.text(), await page.text()];
    }),
  );
  assert.deepEqual(bytes[0], bytes[1]);
});

test('who has all of a run that is over gets 204, which ends an EventSource; HEAD has no body', async () => {
  const run = newRun();
  const id = await start('a.x', run);
  await system.running(id);
  const head = async () => {
    const response = await fetch(`${system.url}${eventsOf(run)}`, { method: 'HEAD' });
    return [response.status, await response.text()];
  };
  const open = await follow(run);
  assert.deepEqual(await head(), [200, '']);
  await agent.report(id, { status: 'succeeded' });
  const all = await open.all();
  const lastEventId = cursorsOf(all).at(-1) ?? '';
  // Right after the end it may have to wait for what may join, and then says again that it is the end.
  for (;;) {
    const again = await follow(run, { 'last-event-id': lastEventId });
    const events = await again.all();
    assert.deepEqual(dataOf(events), []);
    if (again.status === 204) return assert.deepEqual(events, []);
    assert.equal(events.at(-1)?.event, 'end');
  }
});

test('kinds that are not wanted are left out, and types where they are not wanted', async () => {
  const run = newRun();
  await Promise.all([start('s.work', run), start('s.work', run), start('s.work', run)]);
  const entries = await entriesOf(run, 3);
  const wanted = entries.filter(({ kind }) => kind === 'step' || kind === 'outcome');
  assert.equal(wanted.length, 6);
  const all = await (await follow(run, {}, '?kinds=step,outcome')).all();
  assert.deepEqual(dataOf(all), wanted);
  assert.equal(all.at(-1)?.event, 'end');
  const { body } = await system.get(`${eventsOf(run)}?kinds=step,outcome`, JSON_PAGES);
  assert.deepEqual(body.events, wanted);
  const untyped = await (await follow(run, { 'last-event-id': all[0]?.id ?? '' }, '?kinds=step&type=message')).all();
  assert.deepEqual(
    untyped.map(({ event, data }) => [event, data.kind]),
    [...wanted.slice(1).filter(({ kind }) => kind === 'step'), { kind: 'end' }].map(({ kind }) => [undefined, kind]),
  );
});

test('pages follow one another and give what the stream gives', async () => {
  const run = newRun();
  await Promise.all([start('s.work', run), start('s.work', run), start('s.work', run)]);
  await entriesOf(run, 3);
  const all = await (await follow(run)).all();
  const pages: Body[] = [];
  for (let after = '0'; pages.at(-1)?.has_more !== false; after = pages.at(-1).next_after) {
    const { body } = await system.get(`${eventsOf(run)}?limit=4&after=${after}`, JSON_PAGES);
    assert.ok(body.events.length <= 4);
    assert.equal(body.is_complete, !body.has_more);
    pages.push(body);
  }
  assert.deepEqual(
    pages.flatMap(({ events }) => events as Body[]),
    dataOf(all),
  );
  assert.equal(pages.at(-1).next_after, cursorsOf(all).at(-1), 'the cursor is that of the stream');
});

test('what cannot be read is refused: unknown runs, and cursors that are none or those of another run', async () => {
  for (const unknown of [newRun(), 'a%20b', '%22', 'x'.repeat(201), '%C3%A9'])
    for (const headers of BOTH_WAYS) {
      const { status, body } = await system.get(eventsOf(unknown), headers);
      assert.deepEqual([status, body.code], [404, 'run_not_found'], unknown);
    }
  const [run, other] = [newRun(), newRun()];
  await Promise.all([start('s.work', run), start('s.work', other)]);
  await entriesOf(run, 1);
  await entriesOf(other, 1);
  const foreign = cursorsOf(await (await follow(other)).all()).at(-1) ?? '';
  for (const cursor of ['abc', '-1', `${foreign}.`, foreign]) {
    const byQuery = await system.get(`${eventsOf(run)}?after=${cursor}`);
    assert.deepEqual([byQuery.status, byQuery.body.errors?.[0].path], [400, 'after'], cursor);
    const byHeader = await system.get(`${eventsOf(run)}?after=0`, { 'last-event-id': cursor });
    assert.deepEqual([byHeader.status, byHeader.body.errors?.[0].path], [400, 'Last-Event-ID'], cursor);
  }
  for (const query of ['?limit=0', '?limit=1001', '?foo=1', '?type=x'])
    assert.equal((await system.get(eventsOf(run) + query)).status, 400, query);
});

test('a process that has no watcher or no place for a stream says so', async (own) => {
  const run = newRun();
  const ids = [await start('a.x', run), await start('a.x', run)];
  await visible(run, 2);
  for (const limits of [{ maxWatchers: 1 }, { maxStreams: 1 }]) {
    const small = await startSystem(own, { agentNodes: { a: agent.url }, withWorker: false, limits });
    for (let i = 0; i < 2; i++) await fetch(`${small.url}${eventsOf(run)}`, { method: 'HEAD' });
    if (limits.maxStreams) await (await follow(run, {}, '', small)).until('running');
    const refused = await small.get(eventsOf(run));
    assert.deepEqual([refused.status, refused.body.code], [503, 'too_many_streams']);
    assert.ok(refused.headers.get('retry-after'));
    const { body } = await small.get(eventsOf(run), JSON_PAGES);
    assert.equal(new Set(body.events.map(idOf)).size, 2, 'pages need neither');
  }
  for (const id of ids) await agent.report(id, { status: 'succeeded' });
});

test('a process that stops ends its streams, and not the run', async () => {
  const context = sharedContext();
  const other = await startSystem(context, { agentNodes: { a: agent.url }, withWorker: false });
  const run = newRun();
  const id = await start('a.x', run);
  await system.running(id);
  await visible(run, 1);
  const response = await fetch(`${other.url}${eventsOf(run)}`);
  // It would reject if the stream were cut.
  const [text] = await Promise.all([response.text(), context.close()]);
  const cursors = [...text.matchAll(/^id: (.*)$/gm)].map(([, cursor]) => cursor ?? '');
  assert.equal(cursors.length, 2, text);
  assert.ok(!text.includes('event: end'));
  await agent.report(id, { status: 'succeeded' });
  const rest = await (await follow(run, { 'last-event-id': cursors.at(-1) ?? '' })).all();
  assert.deepEqual(
    rest.map(({ event }) => event),
    ['outcome', 'end'],
  );
});

test('a run of 200 executions is followed as one, and no larger one', async (own) => {
  const warnings: string[] = [];
  const warn = ({ name }: Error) => void warnings.push(name);
  process.on('warning', warn);
  own.after(() => process.off('warning', warn));
  // Nobody takes them up: each log has one entry.
  const idle = await startSystem(own, { agentNodes: { a: agent.url }, withWorker: false });
  const run = newRun();
  await mapLimited(Array.from({ length: 200 }), 20, () => start('a.x', run, idle));
  await visible(run, 200, idle);
  const stream = await follow(run, {}, '', idle);
  await stream.until('queued');
  await start('a.x', run, idle);
  const all = await stream.all();
  assert.deepEqual(
    all.map(({ event }) => event),
    Array.from({ length: 200 }, () => 'queued'),
    'it ends, so that who connects again is told why',
  );
  assert.equal(new Set(dataOf(all).map(idOf)).size, 200);
  assert.ok(Math.max(...cursorsOf(all).map(({ length }) => length)) < 8 * 1024);
  assert.deepEqual(
    warnings.filter((name) => name === 'MaxListenersExceededWarning'),
    [],
  );
  for (const headers of [...BOTH_WAYS, { 'last-event-id': cursorsOf(all).at(-1) ?? '' }]) {
    const refused = await idle.get(eventsOf(run), headers);
    assert.deepEqual([refused.status, refused.body.code], [422, 'too_many_executions']);
  }
});
