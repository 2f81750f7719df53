import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import type { TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { acceptingAgent } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

const shared = sharedContext();
let agent: AcceptingAgent;
let system: System;
before(async () => {
  agent = await acceptingAgent(shared);
  system = await startSystem(shared, { agentNodes: { a: agent.url } });
});
after(shared.close);

const path = (id: string) => `/api/v1/executions/${id}`;
const say = (id: string, ...events: object[]) => system.post(`${path(id)}/events`, { events });

async function start(): Promise<string> {
  const { body } = await system.post('/api/v1/execute/async/a.work', {});
  await agent.callbackUrl(body.execution_id);
  await system.running(body.execution_id);
  return body.execution_id as string;
}

interface Client {
  socket: WebSocket;
  frames: Body[];
  send: (frame: unknown) => void;
  /** The first such frame, now or when it comes. */
  until: (isWanted: (frame: Body) => boolean) => Promise<Body>;
  closed: Promise<number>;
}

function open(t: Pick<TestContext, 'after'>, id: string, query = '', on = system): Client {
  const socket = new WebSocket(`${on.url.replace('http', 'ws')}${path(id)}/steer${query}`);
  t.after(() => socket.terminate());
  const frames: Body[] = [];
  socket.on('message', (data) => frames.push(JSON.parse((data as Buffer).toString('utf8'))));
  const closed = once(socket, 'close').then(([code]) => code as number);
  return {
    socket,
    frames,
    closed,
    send: (frame) => socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),
    until: async (isWanted) => {
      for (;;) {
        const found = frames.find(isWanted);
        if (found) return found;
        await Promise.race([
          once(socket, 'message'),
          closed.then((code) => Promise.reject(new Error(`closed ${code}: ${JSON.stringify(frames)}`))),
        ]);
      }
    },
  };
}

/** The status of a handshake that is refused, and the problem. */
async function refusal(url: string, options: object = {}): Promise<{ status: number; body: Body }> {
  const socket = new WebSocket(url, options);
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode ?? 0, body: JSON.parse(text) };
}

test('one connection is enough: the log goes out, messages come in, each with its receipt', async (t) => {
  const id = await start();
  const client = open(t, id);
  const snapshot = await client.until(({ kind }) => kind === 'snapshot');
  assert.equal(snapshot.data.execution_id, id);
  await say(id, { type: 'step', kind: 'thought', name: 'plan' });
  assert.equal((await client.until(({ kind }) => kind === 'step')).data.name, 'plan');
  client.send({ id: 'm', text: 'faster', interrupt: true });
  const receipt = await client.until(({ kind }) => kind === 'receipt');
  assert.deepEqual([receipt.id, receipt.status, receipt.execution_id], ['m', 'accepted', id]);
  assert.equal((await client.until(({ kind }) => kind === 'steer.accepted')).sequence, receipt.sequence);
  const { body } = await say(id);
  assert.equal(body.control, 'hold');
  assert.equal(body.messages[0].text, 'faster');
  await say(id, { type: 'steer.applied', message_id: 'm', step: 'run' });
  assert.equal((await client.until(({ kind }) => kind === 'steer.applied')).data.step, 'run');
  await agent.report(id, { status: 'succeeded', result: 1 });
  await client.until(({ kind }) => kind === 'end');
  assert.equal(await client.closed, 1000);
  const entries = client.frames.filter(({ sequence, kind }) => sequence && !['snapshot', 'receipt'].includes(kind));
  assert.deepEqual(
    entries.map(({ sequence }) => sequence),
    entries.map((_, i) => snapshot.sequence + 1 + i),
  );
});

test('it goes on after an entry, also when all is over', async (t) => {
  const id = await start();
  await say(id, { type: 'note', text: 'a' }, { type: 'note', text: 'b' });
  await agent.report(id, { status: 'succeeded' });
  await system.end(id);
  const client = open(t, id, '?after=3');
  assert.equal(await client.closed, 1000);
  const { events } = (await system.get(`${path(id)}/events?after=3`, { accept: 'application/json' })).body;
  assert.deepEqual(client.frames, [...events, { kind: 'end' }]);
});

test('a flawed message is told so, and the connection goes on', async (t) => {
  const id = await start();
  const client = open(t, id);
  await once(client.socket, 'open');
  for (const frame of [
    'garbage',
    '[]',
    '{"text":""}',
    '{"id":"x","text":"a","if_rev":-1}',
    '{"text":"a","__proto__":1}',
  ])
    client.send(frame);
  client.send({ id: 'fine', text: 'a' });
  await client.until(({ kind, id: of }) => kind === 'receipt' && of === 'fine');
  const errors = client.frames.filter(({ kind }) => kind === 'error');
  assert.deepEqual(
    errors.map(({ status, code }) => [status, code]),
    [[400, 'malformed_json'], ...Array.from({ length: 4 }, () => [400, 'invalid_request'])],
  );
  await say(id, { type: 'context.patch', patch: [{ op: 'add', path: '/a', value: 1 }] });
  client.send({ id: 'stale', text: 'a', if_rev: 0 });
  const stale = await client.until(({ kind, code }) => kind === 'error' && code === 'context_changed');
  assert.equal(stale.id, 'stale');
  assert.equal(stale.patches[0].rev, 1);
});

test('binary, oversized and too many frames close the connection, each with its own code', async (t) => {
  const id = await start();
  const binary = open(t, id);
  await once(binary.socket, 'open');
  binary.socket.send(Buffer.from([1, 2, 3]));
  assert.equal(await binary.closed, 1003);
  const large = open(t, id);
  await once(large.socket, 'open');
  large.send({ text: 'x'.repeat(70_000) });
  assert.equal(await large.closed, 1009);
  const many = open(t, id);
  await once(many.socket, 'open');
  for (let i = 0; i < 500; i++) many.send({ id: 'same', text: 'a' });
  assert.equal(await many.closed, 1008);
  assert.equal((await system.get('/health')).status, 200);
});

test('what cannot be steered is refused before the handshake', async (t) => {
  const id = await start();
  const ws = system.url.replace('http', 'ws');
  assert.equal((await refusal(`${ws}${path(`exec_${'0'.repeat(32)}`)}/steer`)).body.code, 'execution_not_found');
  assert.equal((await refusal(`${ws}/api/v1/executions/x/steer`)).status, 404);
  assert.equal((await refusal(`${ws}/anything`)).body.code, 'route_not_found');
  assert.equal((await refusal(`${ws}${path(id)}/steer?after=x`)).status, 400);
  const foreign = await refusal(`${ws}${path(id)}/steer`, { origin: 'http://evil.example' });
  assert.equal(foreign.status, 403);
  assert.equal(foreign.body.code, 'origin_not_allowed');
  const own = open(t, id, '', { ...system, url: system.url });
  await once(own.socket, 'open');
  const plain = await system.get(`${path(id)}/steer`);
  assert.equal(plain.status, 426);
  assert.equal(plain.headers.get('upgrade'), 'websocket');
});

test('a client that offers another protocol gets the answer to its request', async () => {
  const { port } = new URL(system.url);
  const body = JSON.stringify({ execution_ids: [] });
  for (const [line, rest, wanted] of [
    ['GET /health', '', '{"status":"healthy"}'],
    ['POST /api/v1/executions/batch-status', `Content-Length: ${body.length}\r\n\r\n${body}`, '{}'],
  ] as const) {
    const socket = connect(Number(port), '127.0.0.1');
    const offer = 'Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n';
    socket.write(`${line} HTTP/1.1\r\nHost: x\r\n${offer}${rest || '\r\n'}`);
    let answer = '';
    for await (const chunk of socket) answer += String(chunk);
    assert.match(answer, /^HTTP\/1\.1 200 /, line);
    assert.ok(answer.endsWith(wanted), answer);
  }
});

test('a garbled handshake is refused, and one that is left makes room', async (t) => {
  const own = await startSystem(t, { agentNodes: { a: agent.url }, limits: { maxStreams: 1 } });
  const { body } = await own.post('/api/v1/execute/async/a.work', {});
  const id = body.execution_id as string;
  const { port } = new URL(own.url);
  for (const head of ['', 'Sec-WebSocket-Version: 13\r\n', 'Sec-WebSocket-Version: 1\r\nSec-WebSocket-Key: x\r\n']) {
    const socket = connect(Number(port), '127.0.0.1');
    socket.end(`GET ${path(id)}/steer HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${head}\r\n`);
    let answer = '';
    for await (const chunk of socket) answer += String(chunk);
    assert.match(answer, /^HTTP\/1\.1 4\d\d /, head);
  }
  const first = open(t, id, '', own);
  await once(first.socket, 'open');
  const full = await refusal(`${own.url.replace('http', 'ws')}${path(id)}/steer`);
  assert.equal(full.status, 503);
  assert.equal(full.body.code, 'too_many_streams');
  first.socket.terminate();
  for (;;) {
    const next = open(t, id, '', own);
    next.socket.on('error', () => undefined);
    if (await Promise.race([once(next.socket, 'open').then(() => true), once(next.socket, 'error').then(() => false)]))
      break;
  }
});
