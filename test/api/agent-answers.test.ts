import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { httpServer, sendJson } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const shared = sharedContext();
let system: System;
before(async () => {
  const agent = await httpServer(shared, ({ path, headers }, response) => {
    switch (path.split('/').pop()) {
      case 'acknowledge':
        response.writeHead(202).write('and the body never ends');
        return;
      case 'refuse':
        response.writeHead(500).write('boom');
        return;
      case 'zip':
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{"ok":true}'));
        return;
      case 'infinite':
        response.end('{"a":[1e400]}');
        return;
      case 'identity':
        response.writeHead(200, { 'content-encoding': ' Identity ' }).end('{"ok":true}');
        return;
      case 'unencoded':
        response.writeHead(200, { 'content-encoding': '' }).end('{"ok":true}');
        return;
      case 'mark':
        response.end('\ufeff{"ok":true}');
        return;
      case 'details': {
        const details = `[${Array.from({ length: 100_000 }, () => '1e20').join(',')}]`;
        response.writeHead(200, { 'content-type': 'application/x-ndjson' });
        response.end(`{"type":"error","error":"too much to say","error_details":${details}}\n`);
        return;
      }
      default:
        sendJson(response, 200, headers);
    }
  });
  const month = 30 * 24 * 3_600_000;
  const headers = { 'X-Execution-ID': 'spoofed', 'X-Key': 'k' };
  system = await startSystem(shared, {
    agentNodes: { a: agent.url, long: { url: agent.url, timeout_ms: month }, named: { url: agent.url, headers } },
    policy: { agent: { maximumAttempts: 1 } },
  });
});
after(shared.close);

test('the head of a 202 acknowledges, however long its body goes on', async () => {
  const { body } = await system.post('/api/v1/execute/async/a.acknowledge');
  const id = String(body.execution_id);
  assert.equal((await system.running(id)).lane, 'local', 'the task that called is over');
  await system.post(`/api/v1/executions/${id}/status`, { status: 'succeeded' });
});

test('a refusal whose body never ends is a refusal', async () => {
  const { status, body } = await system.post('/api/v1/execute/a.refuse');
  assert.equal(status, 502);
  assert.match(String(body.error), /^agent error \(500\)/);
});

test('an encoding that nobody asked for is a bad response, a byte order mark is nothing', async () => {
  const { body } = await system.post('/api/v1/execute/a.zip');
  assert.deepEqual(
    [body.status, body.error],
    ['failed', 'agent sent a bad result: encoded as gzip, which was not asked for'],
  );
  assert.deepEqual((await system.post('/api/v1/execute/a.mark')).body.result, { ok: true });
});

test('identity is no encoding, however it is written', async () => {
  for (const target of ['identity', 'unencoded'])
    assert.deepEqual((await system.post(`/api/v1/execute/a.${target}`)).body.result, { ok: true }, target);
});

test('a number that JSON can spell and nobody can hold makes a result a bad one, never null', async () => {
  const { body } = await system.post('/api/v1/execute/a.infinite');
  assert.deepEqual(
    [body.status, body.error, body.error_category],
    ['failed', 'agent sent a bad result: number out of range at $.a[0]', 'bad_response'],
  );
});

for (const [what, head] of [
  ['a 100 Continue that nobody asked for', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a protocol switch', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'],
] as const)
  test(`an agent that answers with ${what} is not called again for it`, async (t) => {
    let calls = 0;
    const server = createServer((socket) => {
      socket
        .on('error', () => undefined)
        .once('data', () => {
          calls += 1;
          socket.write(head);
        });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const own = await startSystem(t, { agentNodes: { odd: url } });
    const { body } = await own.post('/api/v1/execute/odd.x');
    assert.deepEqual([body.status, body.error_category, calls], ['failed', 'bad_response', 1]);
  });

test('error details too long for the history are left out, the error stays', async () => {
  const { body } = await system.post('/api/v1/execute/a.details');
  assert.deepEqual([body.error, body.error_details ?? null], ['too much to say', null]);
});

test('a time limit longer than a timer of Node can be does not end at once', async () => {
  assert.equal((await system.post('/api/v1/execute/long.x')).status, 200);
});

test('headers of a node stand beside ours and never in their place, whatever their case', async () => {
  const { body } = await system.post('/api/v1/execute/named.x');
  assert.deepEqual([body.result['x-execution-id'], body.result['x-key']], [body.execution_id, 'k']);
});
