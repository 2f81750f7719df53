import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createProxy } from '../../chaos/proxy.ts';
import { httpServer, sendJson } from '../support/http-server.ts';

async function proxied(t: TestContext) {
  const server = await httpServer(t, (request, response) => sendJson(response, 200, { got: request.body.length }));
  const port = Number(new URL(server.url).port);
  const proxy = await createProxy(() => port);
  t.after(proxy.close);
  const post = (body = 'x') =>
    fetch(`http://127.0.0.1:${proxy.port}/`, { method: 'POST', body, headers: { connection: 'close' } });
  return { server, proxy, post };
}

test('what goes through is what was sent', async (t) => {
  const { post, proxy } = await proxied(t);
  const answer = await post('x'.repeat(300_000));
  assert.deepEqual(await answer.json(), { got: 300_000 });
  assert.ok(proxy.bytes() > 300_000);
});

test('cut: connections are refused, and work again afterwards', async (t) => {
  const { post, proxy } = await proxied(t);
  await proxy.misbehave('cut');
  const err = await post().catch((cause: unknown) => cause as Error);
  assert.ok(err instanceof Error);
  assert.equal((err.cause as { code?: string }).code, 'ECONNREFUSED');
  await proxy.misbehave(undefined);
  assert.equal((await post()).status, 200);
});

test('cut: a connection that is open is reset', async (t) => {
  const server = await httpServer(t, () => undefined);
  const proxy = await createProxy(() => Number(new URL(server.url).port));
  t.after(proxy.close);
  const waiting = fetch(`http://127.0.0.1:${proxy.port}/`).then(
    () => 'answered',
    () => 'cut',
  );
  await server.waitFor(1);
  await proxy.misbehave('cut');
  assert.equal(await waiting, 'cut');
});

test('blackhole: nothing gets through and nobody is told, and all of it arrives when it is over', async (t) => {
  const { post, proxy, server } = await proxied(t);
  await proxy.misbehave('blackhole');
  const waiting = post();
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(server.received.length, 0);
  await proxy.misbehave(undefined);
  assert.equal((await waiting).status, 200);
});

test('delay: everything arrives, late', async (t) => {
  const { post, proxy } = await proxied(t);
  await proxy.misbehave('delay');
  const before = performance.now();
  assert.equal((await post()).status, 200);
  assert.ok(performance.now() - before >= 300);
});
