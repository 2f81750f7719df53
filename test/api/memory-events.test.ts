import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { memoryEvent, memoryHistory } from '../../api/memory-schemas.ts';
import { sharedContext } from '../support/shared.ts';
import { followEvents } from '../support/sse-client.ts';
import type { SseStream } from '../support/sse-client.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';
import { startTemporal } from '../support/temporal.ts';

const shared = sharedContext();
let system: System;
before(async () => {
  system = await startSystem(shared, { agentNodes: {} });
});
after(shared.close);

const MEMORY = '/api/v1/memory';
type Headers = Record<string, string>;

const fresh = () => `m-${randomUUID()}`;
const inSession = (id: string): Headers => ({ 'x-session-id': id });

async function set(headers: Headers, key: string, data: unknown, on = system): Promise<Body> {
  const { status, body } = await on.post(`${MEMORY}/set`, { key, data }, headers);
  assert.equal(status, 200, JSON.stringify(body));
  return body;
}

const remove = (headers: Headers, key: string, on = system) => on.post(`${MEMORY}/delete`, { key }, headers);

const history = async (query: string, on = system): Promise<Body[]> =>
  (await on.get(`${MEMORY}/events/history?${query}`)).body;

interface Watching {
  events: Body[];
  /** All that has come, as soon as they are so many. */
  until: (count: number) => Promise<Body[]>;
  closed: Promise<number>;
  socket: WebSocket;
}

async function watch(t: Pick<TestContext, 'after'>, query: string, on = system): Promise<Watching> {
  const socket = new WebSocket(`${on.url.replace('http', 'ws')}${MEMORY}/events/ws?${query}`);
  t.after(() => socket.terminate());
  const events: Body[] = [];
  socket.on('message', (data) =>
    events.push(memoryEvent.strict().parse(JSON.parse((data as Buffer).toString('utf8')))),
  );
  const closed = once(socket, 'close').then(([code]) => code as number);
  await once(socket, 'open');
  return {
    socket,
    events,
    closed,
    until: async (count) => {
      while (events.length < count)
        await Promise.race([
          once(socket, 'message'),
          closed.then((code) => Promise.reject(new Error(`closed ${code}: ${JSON.stringify(events)}`))),
        ]);
      return [...events];
    },
  };
}

async function listen(t: Pick<TestContext, 'after'>, query: string, headers: Headers = {}): Promise<SseStream> {
  const stream = await followEvents(`${system.url}${MEMORY}/events/sse?${query}`, headers);
  t.after(() => stream.close());
  assert.equal(stream.status, 200);
  return stream;
}

const short = ({ key, action, data, previous_data, rev }: Body) => [rev, action, key, data, previous_data];

test('a WebSocket tells each change of a memory once, from its opening on', async (t) => {
  const id = fresh();
  const headers = inSession(id);
  await set(headers, 'before', 1);
  const watching = await watch(t, `scope=session&scope_id=${id}`);
  const written = await set({ ...headers, 'x-agent-node-id': 'me', 'x-actor-id': 'who' }, 'k', { a: 1 });
  await set(headers, 'k', null);
  await remove(headers, 'k');
  await remove(headers, 'k');
  await set(headers, 'k', 'again');
  const events = await watching.until(4);
  assert.deepEqual(events.map(short), [
    [2, 'set', 'k', { a: 1 }, null],
    [3, 'set', 'k', null, { a: 1 }],
    [4, 'delete', 'k', null, null],
    [5, 'set', 'k', 'again', null],
  ]);
  const { id: eventId, ...first } = events[0];
  assert.match(eventId, /^mem_/);
  assert.deepEqual(first, {
    type: 'memory_change',
    timestamp: written.updated_at,
    scope: 'session',
    scope_id: id,
    key: 'k',
    action: 'set',
    data: { a: 1 },
    previous_data: null,
    metadata: { agent_id: 'me', actor_id: 'who' },
    rev: 2,
  });
  assert.deepEqual(memoryHistory.parse(await history(`scope=session&scope_id=${id}`)).slice(1), events);
});

test('patterns choose by the key', async (t) => {
  const id = fresh();
  const headers = inSession(id);
  const of = (patterns: string) => `scope=session&scope_id=${id}&${patterns}`;
  const keys = ['user.a', 'user.b/c', 'user', 'use?.x', 'end'];
  const wanted: [string, string[]][] = [
    ['patterns=user.*', ['user.a', 'user.b/c']],
    ['patterns=*r', ['user']],
    ['patterns=user.%3F', ['user.a']],
    ['patterns=u*.*', ['user.a', 'user.b/c', 'use?.x']],
    ['patterns=user,end', ['user', 'end']],
    ['patterns=user&patterns=end', ['user', 'end']],
    ['patterns=', keys],
    ['patterns=*', keys],
    ['patterns=.*', []],
    ['patterns=' + '*u'.repeat(50) + '*', []],
  ];
  const watching = await Promise.all(wanted.map(([patterns]) => watch(t, of(patterns))));
  const all = await watch(t, of(''));
  for (const key of keys) await set(headers, key, 1);
  await all.until(keys.length);
  for (const [i, [patterns, expected]] of wanted.entries()) {
    const events = (await watching[i]?.until(expected.length)) ?? [];
    assert.deepEqual(
      events.map(({ key }) => key),
      expected,
      patterns,
    );
    assert.deepEqual(
      (await history(of(patterns))).map(({ key }) => key),
      expected,
      patterns,
    );
  }
});

test('without a scope, as the SDK connects, all memories are watched: those that are there and those to come', async (t) => {
  const other = await startSystem(t, { agentNodes: {}, withWorker: false, taskQueue: system.taskQueue });
  const prefix = fresh();
  const before_ = fresh();
  await set(inSession(before_), `${prefix}.old`, 0);
  const watching = await watch(t, `patterns=${prefix}.*`);
  const elsewhere = await watch(t, `patterns=${prefix}.*`, other);
  const actors = await watch(t, `patterns=${prefix}.*&scope=actor`);
  await set(inSession(before_), `${prefix}.1`, 1);
  await set({ 'x-workflow-id': fresh() }, `${prefix}.2`, 2);
  await set({ 'x-actor-id': fresh() }, `${prefix}.3`, 3);
  await set({}, `${prefix}.4`, 4);
  // This one only the other process has to do with.
  await set(inSession(fresh()), `${prefix}.5`, 5, other);
  for (const { until } of [watching, elsewhere]) {
    const events = await until(5);
    assert.deepEqual(new Set(events.map(({ data }) => data)), new Set([1, 2, 3, 4, 5]));
  }
  const [event, ...rest] = await actors.until(1);
  assert.deepEqual([event.scope, event.data, rest], ['actor', 3, []]);
  const kept = await history(`patterns=${prefix}.*`);
  assert.deepEqual(
    kept.map(({ data }) => data),
    [0, 1, 2, 3, 4, 5],
  );
  assert.deepEqual(
    (await history(`patterns=${prefix}.*&limit=2`)).map(({ data }) => data),
    [4, 5],
  );
  assert.deepEqual(
    (await history(`patterns=${prefix}.*&scope=session`)).map(({ data }) => data),
    [0, 1, 5],
  );
  assert.deepEqual(
    (await history(`patterns=${prefix}.*&scope=global`)).map(({ data }) => data),
    [4],
  );
  assert.equal(watching.events.length, 5, 'each once');
});

test('an event stream tells the same, and one that connects again goes on where it was', async (t) => {
  const id = fresh();
  const headers = inSession(id);
  const stream = await listen(t, `scope=session&scope_id=${id}`);
  assert.match(stream.headers.get('content-type') ?? '', /text\/event-stream/);
  await set(headers, 'a', 1);
  const [first] = await stream.until('message');
  assert.deepEqual(short(first?.data), [1, 'set', 'a', 1, null]);
  assert.equal(first?.id, first?.data.timestamp);
  stream.close();
  await set(headers, 'b', 2);
  await set(headers, 'c', 3);
  for (const query of [`scope=session&scope_id=${id}`, `patterns=*&since=2000-01-01T00:00:00Z`]) {
    const again = await listen(t, query, { 'last-event-id': String(first?.id) });
    await set(headers, 'd', query);
    while (!(await again.until('message')).some(({ data }) => data.data === query)) await setImmediate();
    const told = (await again.until('message')).map(({ data }) => data).filter(({ scope_id }) => scope_id === id);
    const keys = told.map(({ key }: Body) => key as string);
    assert.deepEqual([...new Set(keys)], ['a', 'b', 'c', 'd']);
    assert.equal(new Set(told.map((event: Body) => event.id)).size, told.length, 'each once');
  }
});

test('history can be asked from a time on, and keeps the newest 200', async () => {
  const id = fresh();
  const headers = inSession(id);
  for (let i = 0; i < 10; i++)
    await Promise.all(Array.from({ length: 21 }, (_, j) => set(headers, `k${j}`, 21 * i + j)));
  const all = await history(`scope=session&scope_id=${id}&limit=1000`);
  assert.deepEqual(
    all.map(({ rev }) => rev),
    Array.from({ length: 200 }, (_, i) => i + 11),
  );
  const newest = await history(`scope=session&scope_id=${id}`);
  assert.deepEqual(newest, all.slice(-100));
  const { timestamp } = all[150];
  const since = await history(`scope=session&scope_id=${id}&since=${timestamp}`);
  assert.deepEqual(
    since,
    all.filter((event) => event.timestamp > timestamp),
  );
  // As Python writes it.
  const local = timestamp.replace('Z', '000');
  assert.deepEqual(await history(`scope=session&scope_id=${id}&since=${local}`), since);
  assert.deepEqual(await history(`scope=session&scope_id=${fresh()}`), []);
});

test('a memory that is not there yet can be watched, and one that is forgotten begins anew', async (t) => {
  const id = fresh();
  const watching = await watch(t, `scope=session&scope_id=${id}`);
  await set(inSession(id), 'k', 1);
  await watching.until(1);
  const other = await startSystem(t, { agentNodes: {}, withWorker: false, taskQueue: system.taskQueue });
  await other.client.workflow.getHandle(`memory_session_${id}@${system.taskQueue}`).terminate();
  await set(inSession(id), 'k', 2, other);
  assert.deepEqual((await watching.until(2)).map(short), [
    [1, 'set', 'k', 1, null],
    [1, 'set', 'k', 2, null],
  ]);
});

test('what watches goes on through runs of the memory', async (t) => {
  const own = await startSystem(t, { agentNodes: {}, policy: { maxRunEvents: 20 } });
  const id = fresh();
  const [one, all] = [await watch(t, `scope=session&scope_id=${id}`, own), await watch(t, '', own)];
  for (let i = 0; i < 15; i++) await Promise.all([0, 1, 2].map((j) => set(inSession(id), `k${j}`, i, own)));
  for (const { until } of [one, all])
    assert.deepEqual(
      (await until(45)).map(({ rev }) => rev),
      Array.from({ length: 45 }, (_, i) => i + 1),
    );
});

test('a stream costs a place, also one that is refused gives it back, and flaws are told before the handshake', async (t) => {
  const own = await startSystem(t, { agentNodes: {}, withWorker: false, limits: { maxStreams: 2 } });
  const url = `${own.url.replace('http', 'ws')}${MEMORY}/events/ws`;
  const refusal = async (query: string, options: object = {}) => {
    const socket = new WebSocket(`${url}${query}`, options);
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
    let text = '';
    for await (const chunk of response) text += String(chunk);
    return [response.statusCode, JSON.parse(text).code];
  };
  for (const query of ['?scope=x', '?since=yesterday', '?limit=3', `?patterns=${'a,'.repeat(60)}`, '?pattern=a'])
    assert.deepEqual(await refusal(query), [400, 'invalid_request'], query);
  assert.deepEqual(await refusal('', { origin: 'http://evil.example' }), [403, 'origin_not_allowed']);
  const [one] = [await watch(t, '', own), await watch(t, 'scope=global', own)];
  assert.deepEqual(await refusal(''), [503, 'too_many_streams']);
  assert.equal((await own.get(`${MEMORY}/events/sse`)).status, 503);
  one.socket.close();
  await one.closed;
  for (;;) {
    const stream = await followEvents(`${own.url}${MEMORY}/events/sse`);
    stream.close();
    if (stream.status === 200) break;
  }
  const plain = await own.get(`${MEMORY}/events/ws`);
  assert.deepEqual([plain.status, plain.body.code], [426, 'websocket_required']);
  for (const path of ['sse?scope=x', 'history?limit=0', 'history?limit=1001', 'history?since=1', 'history?scope=all'])
    assert.equal((await own.get(`${MEMORY}/events/${path}`)).status, 400, path);
  assert.equal((await own.get(`${MEMORY}/events/sse`, { 'last-event-id': 'x' })).status, 400);
});

test('a reader that takes nothing is cut, and holds up nobody', async (t) => {
  const own = await startSystem(t, { agentNodes: {}, limits: { stallMs: 500, maxStreams: 1 } });
  const id = fresh();
  const { host } = new URL(own.url);
  const [hostname = '', port] = host.split(':');
  const socket = connect(Number(port), hostname);
  t.after(() => socket.destroy());
  socket.write(
    `GET ${MEMORY}/events/ws?scope=session&scope_id=${id} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\n` +
      'Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  );
  await once(socket, 'data');
  socket.pause();
  const gone = once(socket, 'close');
  socket.on('error', () => undefined);
  const large = 'x'.repeat(200_000);
  // What the kernel takes is not felt.
  for (let i = 0; i < 40; i++) await set(inSession(id), 'k', large, own);
  for (;;) {
    const stream = await followEvents(`${own.url}${MEMORY}/events/sse`);
    stream.close();
    if (stream.status === 200) break;
  }
  socket.resume();
  await gone;
});

test('while Temporal is away nothing is confirmed, and who watches misses nothing', async (t) => {
  const temporal = await startTemporal();
  t.after(temporal.stop);
  const own = await startSystem(t, { agentNodes: {}, address: temporal.address, withWorker: false });
  const id = fresh();
  const headers = inSession(id);
  await set(headers, 'k', 1, own);
  const [one, all] = [await watch(t, `scope=session&scope_id=${id}`, own), await watch(t, '', own)];
  await temporal.kill();
  const told = await own.post(`${MEMORY}/set`, { key: 'k', data: 2 }, headers);
  assert.deepEqual([told.status, told.body.code, told.body.message], [503, 'temporal_unavailable', told.body.detail]);
  assert.ok(told.headers.has('retry-after'));
  const read = await own.post(`${MEMORY}/get`, { key: 'k', scope: 'session' }, headers);
  assert.equal(read.status, 503, 'what is known may be old');
  await temporal.restart();
  for (;;) {
    const { status, body } = await own.post(`${MEMORY}/set`, { key: 'k', data: 3 }, headers);
    if (status === 200) {
      assert.equal(body.rev, 2);
      break;
    }
  }
  for (const { until } of [one, all]) assert.deepEqual(short((await until(1))[0]), [2, 'set', 'k', 3, 1]);
});
