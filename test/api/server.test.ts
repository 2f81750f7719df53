import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { Hono } from 'hono';
import { listen } from '../../api/server.ts';
import { ROOT } from '../support/temporal.ts';

test('a server that closes ends the connections of those who go on using them, and then is gone', async () => {
  let answerIt = () => {};
  const held = new Promise<void>((resolve) => (answerIt = resolve));
  let reached = () => {};
  const isReached = new Promise<void>((resolve) => (reached = resolve));
  const app = new Hono()
    .get('/now', (c) => c.text('now'))
    .get('/later', async (c) => {
      reached();
      await held;
      return c.text('later');
    });
  const server = await listen(app, { host: '127.0.0.1', port: 0 });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ask = async (path: string): Promise<IncomingMessage> => {
    const asked = request({ port: server.port, path, agent }).end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    response.resume();
    await once(response, 'end');
    return response;
  };
  assert.equal((await ask('/now')).headers.connection, 'keep-alive');
  const later = ask('/later');
  await isReached;
  const closed = server.close(60_000);
  answerIt();
  assert.equal((await later).headers.connection, 'close');
  await closed;
  agent.destroy();
});

test('a HOST that is no address of this machine is one line that names it', async () => {
  const env = { ...process.env, HOST: '192.0.2.1', PERDURE_SECRET_KEYS: `k:${Buffer.alloc(32).toString('base64')}` };
  const api = spawn(process.execPath, ['--import', 'tsx', 'api/main.ts'], { cwd: ROOT, env });
  let said = '';
  api.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(api, 'close')) as [number];
  assert.equal(code, 1);
  assert.equal(said, 'perdure api: HOST: 192.0.2.1 is no address of this machine\n');
});
