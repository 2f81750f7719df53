import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { acceptingAgent } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer, webhookReceiver } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { followEvents } from '../support/sse-client.ts';
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
  { type: 'progress', current_action: 'reading', progress_pct: 10 },
  { type: 'step', kind: 'thought', name: 'plan', summary: 'read, then answer' },
  { type: 'outcome', status: 'succeeded', forged: true },
  { type: 'a name\nwith a line', x: 1 },
  { type: 'result', result: { answer: 42 } },
];

const eventsOf = (id: string) => `/api/v1/executions/${id}/events`;
const page = (id: string, query = '') =>
  system.get(`${eventsOf(id)}${query}`, { accept: 'application/json' }).then(({ body }) => body as Body);

async function start(target: string, more: object = {}): Promise<string> {
  const { body } = await system.post(`/api/v1/execute/async/${target}`, { input: {}, ...more });
  return body.execution_id as string;
}

test('the log of a streaming agent: numbered without a gap, its own words told from ours', async () => {
  const id = await start('s.work');
  await system.end(id);
  const { events, ...rest } = await page(id, '?after=0');
  assert.deepEqual(
    events.map(({ kind }: Body) => kind),
    ['queued', 'running', 'running', 'progress', 'step', 'other', 'other', 'outcome'],
    'a call that is handed over shows in a lane of its own',
  );
  assert.deepEqual(
    events.map(({ sequence }: Body) => sequence),
    [1, 2, 3, 4, 5, 6, 7, 8],
  );
  assert.deepEqual(events[3].data, { current_action: 'reading', progress_pct: 10 });
  assert.equal(events[4].data.summary, 'read, then answer');
  assert.deepEqual(events[5].data, { name: 'outcome', data: { status: 'succeeded', forged: true } });
  assert.equal(events[7].data.status, 'succeeded');
  assert.deepEqual(events[7].data.result, { answer: 42 });
  assert.deepEqual(rest, { next_after: 8, has_more: false, is_complete: true });
});

test('a stream resumed at every entry gives the rest of the log, as the pages have it', async () => {
  const id = await start('s.work');
  await system.end(id);
  const { events } = await page(id);
  for (const from of [0, ...events.map(({ sequence }: Body) => sequence as number)]) {
    const stream = await followEvents(`${system.url}${eventsOf(id)}`, { 'last-event-id': String(from) });
    const got = await stream.all();
    if (from === events.length) {
      assert.equal(stream.status, 204, 'an EventSource stops here');
      assert.deepEqual(got, []);
      continue;
    }
    assert.equal(stream.headers.get('content-type'), 'text/event-stream');
    assert.equal(got.at(-1)?.event, 'end');
    assert.deepEqual(
      got.slice(0, -1).map(({ data }) => data),
      events.slice(from),
    );
    assert.deepEqual(
      got.slice(0, -1).map(({ id: number, event }) => [Number(number), event]),
      events.slice(from).map(({ sequence, kind }: Body) => [sequence, kind]),
    );
  }
});

test('a stream begins with the execution as it is and goes on live to its end', async () => {
  const id = await start('a.x');
  await agent.callbackUrl(id);
  await system.running(id);
  await agent.report(id, { status: 'running', progress_pct: 20 });
  const stream = await followEvents(`${system.url}${eventsOf(id)}`);
  const [snapshot] = await stream.until('snapshot');
  assert.equal(snapshot?.data.progress_pct, 20);
  assert.equal(snapshot?.id, String(snapshot?.data.sequence));
  await agent.report(id, { status: 'waiting', current_action: 'asking' });
  const live = await stream.until('progress');
  assert.deepEqual(live[1]?.data.data, { status: 'waiting', current_action: 'asking' });
  await agent.report(id, { status: 'succeeded', result: 'done' });
  const all = await stream.all();
  assert.deepEqual(
    all.map(({ event }) => event),
    ['snapshot', 'progress', 'outcome', 'end'],
  );
  assert.equal(all[2]?.data.data.result, 'done');
});

test('two replicas give the same bytes, and a stream goes on at the other', async (own) => {
  const other = await startSystem(own, { agentNodes: { a: agent.url }, withWorker: false });
  const id = await start('a.x');
  await agent.callbackUrl(id);
  await system.running(id);
  const first = await followEvents(`${system.url}${eventsOf(id)}?after=0`);
  await first.until('running');
  first.close();
  const second = await followEvents(`${other.url}${eventsOf(id)}?after=0`, { 'last-event-id': '2' });
  await agent.report(id, { status: 'succeeded', result: 1 });
  assert.deepEqual(
    (await second.all()).map(({ id: number }) => number),
    ['3', undefined],
  );
  const bytes = await Promise.all(
    [system, other].map(({ get }) => get(eventsOf(id), { accept: 'application/json' }).then(({ text }) => text)),
  );
  assert.equal(bytes[0], bytes[1]);
});

test('kinds that are not wanted are left out, the others keep their numbers', async () => {
  const id = await start('s.work');
  await system.end(id);
  const { events, next_after } = await page(id, '?kinds=step,outcome');
  assert.deepEqual(
    events.map(({ sequence, kind }: Body) => [sequence, kind]),
    [
      [5, 'step'],
      [8, 'outcome'],
    ],
  );
  assert.equal(next_after, 8);
  const stream = await followEvents(`${system.url}${eventsOf(id)}?after=0&kinds=step`);
  assert.deepEqual(
    (await stream.all()).map(({ event }) => event),
    ['step', 'end'],
  );
});

test('pages follow one another', async () => {
  const id = await start('s.work');
  await system.end(id);
  const whole = await page(id);
  const events = [];
  let after = 0;
  for (let hasMore = true; hasMore;) {
    const part = await page(id, `?limit=2&after=${after}`);
    assert.ok(part.events.length <= 2);
    events.push(...part.events);
    after = part.next_after;
    hasMore = part.has_more;
  }
  assert.deepEqual(events, whole.events);
});

test('attempts of the webhook are in the log, and those of a redelivery follow on', async (own) => {
  const receiver = await webhookReceiver(own, 204);
  const id = await start('s.work', { webhook: { url: receiver.url } });
  await receiver.waitFor(1);
  while (!(await page(id)).is_complete);
  const before = await page(id);
  assert.equal(before.events.at(-1).kind, 'webhook.attempt');
  assert.equal(before.events.at(-1).data.http_status, 204);
  assert.equal((await system.post(`/api/v1/executions/${id}/webhook/redeliver`)).status, 202);
  await receiver.waitFor(2);
  let whole = await page(id);
  while (!whole.is_complete || whole.events.length === before.events.length) whole = await page(id);
  assert.deepEqual(whole.events.slice(0, -1), before.events, 'the run before is read too');
  assert.equal(whole.events.at(-1).sequence, before.events.length + 1);
  assert.equal(whole.events.at(-1).data.attempt, 2);
});

test('what cannot be streamed is refused before the stream begins', async () => {
  const missing = await system.get(eventsOf('exec_00000000000000000000000000000000'));
  assert.equal(missing.status, 404);
  assert.equal(missing.body.code, 'execution_not_found');
  const id = await start('s.work');
  await system.end(id);
  for (const query of ['?after=-1', '?after=x', '?limit=0', '?limit=1001', '?foo=1'])
    assert.equal((await system.get(eventsOf(id) + query)).status, 400, query);
  assert.equal((await system.get(eventsOf(id), { 'last-event-id': 'abc' })).status, 400);
});

test('a reader that takes nothing is cut off, and the others do not wait for it', async (t) => {
  const own = await startSystem(t, { agentNodes: { a: agent.url }, limits: { stallMs: 500, maxStreams: 2 } });
  const id = (await own.post('/api/v1/execute/async/a.x', {})).body.execution_id as string;
  await agent.callbackUrl(id);
  const reading = await followEvents(`${own.url}${eventsOf(id)}?after=0`);
  const { hostname, port } = new URL(own.url);
  const stuck = connect(Number(port), hostname).pause();
  t.after(() => stuck.destroy());
  stuck.write(`GET ${eventsOf(id)}?after=0 HTTP/1.1\r\nHost: ${hostname}\r\nAccept: text/event-stream\r\n\r\n`);
  // More than what the sockets of both ends take on the way.
  const text = 'x'.repeat(60_000);
  const batch = Array.from({ length: 15 }, () => ({ type: 'chunk', text }));
  for (let i = 0; i < 20; i++) assert.equal((await own.post(eventsOf(id), { events: batch })).status, 200);
  await agent.report(id, { status: 'succeeded' });
  const all = await reading.all();
  assert.equal(all.filter(({ event }) => event === 'chunk').length, 300);
  assert.equal(all.at(-1)?.event, 'end');
  const other = (await own.post('/api/v1/execute/async/a.x', {})).body.execution_id as string;
  const held = await followEvents(`${own.url}${eventsOf(other)}`);
  let next = await followEvents(`${own.url}${eventsOf(other)}`);
  // Until there is room for it: the stuck one is cut.
  while (next.status === 503) next = await followEvents(`${own.url}${eventsOf(other)}`);
  for (const stream of [held, next]) stream.close();
  // What the kernel still has of it, and its end.
  let bytes = 0;
  const cut = once(stuck, 'close');
  stuck.on('error', () => undefined).on('data', (chunk: Buffer) => (bytes += chunk.length));
  stuck.resume();
  await cut;
  assert.ok(bytes < 300 * text.length, `${bytes} bytes`);
});

test('there are only so many streams, and one that is left makes room', async (own) => {
  const small = await startSystem(own, { agentNodes: { a: agent.url }, withWorker: false, limits: { maxStreams: 1 } });
  const id = await start('a.x');
  const one = await followEvents(`${small.url}${eventsOf(id)}`);
  await one.until('snapshot');
  const refused = await small.get(eventsOf(id));
  assert.equal(refused.status, 503);
  assert.equal(refused.body.code, 'too_many_streams');
  assert.ok(refused.headers.get('retry-after'));
  one.close();
  let next = await followEvents(`${small.url}${eventsOf(id)}`);
  while (next.status === 503) next = await followEvents(`${small.url}${eventsOf(id)}`);
  await next.until('snapshot');
  next.close();
  await agent.report(id, { status: 'succeeded' });
});
