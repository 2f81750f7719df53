import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { post, printed, run, start, type Env } from './support.ts';

const RECEIVER = 'examples/webhook-receiver.ts';
const EVENT = { event: 'execution.completed', execution_id: 'exec_1', status: 'succeeded', sequence: 9 };

/** Signs as Perdure does; the Standard Webhooks part by that project's own library. */
function signed(secret: string, body: string, id = 'dlv_1', at = new Date()): Env {
  const key = secret.startsWith('whsec_') ? secret : Buffer.from(secret).toString('base64');
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(key).sign(id, at, body),
    'x-agentfield-signature': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
  };
}

for (const secret of [`whsec_${randomBytes(24).toString('base64')}`, 'plain secret']) {
  test(`webhook-receiver believes genuine deliveries only (${secret.slice(0, 6)})`, async (t) => {
    const receiver = await start(t, RECEIVER, { WEBHOOK_SECRET: secret });
    const { url, output } = receiver;
    const body = JSON.stringify(EVENT);
    const send = async (headers: Env, raw = body) => (await post(`${url}/any/path`, raw, headers)).status;
    const good = signed(secret, body);

    assert.equal(await send(good), 204);
    await printed(receiver, /verified {2}event=execution\.completed execution_id=exec_1 status=succeeded sequence=9 /);
    assert.equal(await send(good), 204);
    await printed(receiver, /dlv_1 \(repetition, ignored\)/);
    assert.equal(await send({ ...good, 'webhook-signature': `v1,AAAA ${good['webhook-signature']}` }), 204);
    const { 'x-agentfield-signature': agentField = '', ...standardOnly } = good;
    assert.equal(await send(standardOnly), 204);

    assert.equal(await send(good, body.replace('succeeded', 'failed')), 401);
    assert.equal(await send({ ...good, 'webhook-id': 'dlv_2' }), 401);
    assert.equal(await send(signed('another secret', body)), 401);
    assert.equal(await send({ ...good, 'x-agentfield-signature': `sha256=${'0'.repeat(64)}` }), 401);
    assert.equal(await send({ ...good, 'webhook-signature': 'v1,' }), 401);
    for (const minutes of [-6, 6]) {
      assert.equal(await send(signed(secret, body, 'dlv_3', new Date(Date.now() + minutes * 60_000))), 401);
    }
    assert.equal(await send({ 'x-agentfield-signature': agentField }), 401);
    assert.equal(await send({}), 401);
    assert.equal(await send(signed(secret, 'not JSON', 'dlv_4'), 'not JSON'), 400);
    assert.equal((await fetch(url)).status, 405);
    await printed(receiver, /REFUSED {3}verified, but not a JSON object/);
    assert.equal(output.stdout.match(/^verified/gm)?.length, 4);
  });
}

test('webhook-receiver does not start without a secret or with a bad PORT, and ends cleanly', async (t) => {
  const bare = run(t, RECEIVER, { WEBHOOK_SECRET: '' });
  assert.equal(await bare.closed, 2);
  assert.match(bare.output.stderr, /^WEBHOOK_SECRET must be set[^\n]*\n$/);
  const bad = run(t, RECEIVER, { WEBHOOK_SECRET: 's', PORT: '70000' });
  assert.equal(await bad.closed, 2);
  assert.match(bad.output.stderr, /^PORT must be [^\n]*'70000'\n$/);
  const receiver = await start(t, RECEIVER, { WEBHOOK_SECRET: 's' });
  receiver.child.kill('SIGTERM');
  assert.equal(await receiver.closed, 0);
});
