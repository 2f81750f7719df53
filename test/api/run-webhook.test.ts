import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { runEndId } from '../../workflows/run-contract.ts';
import { acceptingAgent } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { webhookReceiver } from '../support/http-server.ts';
import type { Received } from '../support/http-server.ts';
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

const child = (run: string, parent: string) => ({ 'x-run-id': run, 'x-parent-execution-id': parent });
const payloadOf = (request: Received | undefined): Body => JSON.parse(request?.body ?? '{}');

async function start(body: unknown = {}, headers: Record<string, string> = {}, at = system): Promise<Body> {
  const { status, body: answer, text } = await at.post('/api/v1/execute/async/a.x', body, headers);
  assert.equal(status, 202, text);
  return answer;
}

/** Until what tells of the run's end has come to its own. */
async function told(run: string): Promise<void> {
  const handle = system.client.workflow.getHandle(runEndId(run, system.taskQueue));
  await handle.result().catch(() => undefined);
}

test('the end of a run is told once, signed, when the last of its executions has ended', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const secret = `whsec_${Buffer.from('a secret of the run').toString('base64')}`;
  const root = await start({ run_webhook: { url: receiver.url, secret, headers: { 'x-mine': 'yes' } } });
  const run = root.run_id as string;
  const first = await start({}, child(run, root.execution_id));
  const second = await start({}, child(run, first.execution_id));
  // The root is not the last one: a child that nobody waits for goes on.
  for (const { execution_id: id } of [root, first]) {
    await agent.report(id, { status: 'succeeded' });
    await system.client.workflow.getHandle(id).result();
  }
  const before = await system.get(`/api/v1/runs/${run}`);
  assert.deepEqual([before.body.webhook_registered, before.body.webhook_events], [true, []]);
  const third = await start({}, child(run, second.execution_id));
  await agent.report(second.execution_id, { status: 'failed', error: 'no luck' });
  await system.end(second.execution_id);
  assert.equal(receiver.received.length, 0, 'one is open');
  await agent.report(third.execution_id, { status: 'succeeded' });

  const [request] = await receiver.waitFor(1);
  const payload = payloadOf(request);
  assert.equal(payload.event, 'run.completed');
  assert.deepEqual([payload.run_id, payload.workflow_id, payload.status], [run, run, 'succeeded']);
  assert.equal(payload.total_executions, 4);
  assert.deepEqual(payload.counts, { succeeded: 3, failed: 1, timeout: 0, cancelled: 0 });
  const { completed_at: end } = await system.end(third.execution_id);
  assert.ok(payload.completed_at >= end);
  assert.equal(payload.duration_ms, Date.parse(payload.completed_at) - Date.parse(payload.started_at));
  const headers = request?.headers as Record<string, string>;
  new Webhook(secret).verify(request?.body ?? '', headers);
  const agentField = createHmac('sha256', secret)
    .update(request?.body ?? '')
    .digest('hex');
  assert.equal(headers['x-agentfield-signature'], `sha256=${agentField}`);
  assert.equal(headers['x-mine'], 'yes');
  assert.match(headers['webhook-id'] ?? '', /^dlv_run_[0-9a-f]{32}$/);
  await told(run);
  const tree = (await system.get(`/api/v1/runs/${run}`)).body;
  assert.equal(tree.webhook_events.length, 1);
  assert.deepEqual([tree.webhook_events[0].http_status, tree.webhook_events[0].error], [204, null]);
  assert.equal(receiver.received.length, 1);
});

test('an execution alone is a run too, and its own webhook comes first', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const { execution_id: id, run_id: run } = await start({
    webhook: { url: `${receiver.url}/execution` },
    run_webhook: { url: `${receiver.url}/run` },
  });
  await agent.report(id, { status: 'failed', error: 'no' });
  const requests = await receiver.waitFor(2);
  assert.deepEqual(
    requests.map(({ path }) => path),
    ['/execution', '/run'],
  );
  assert.equal(payloadOf(requests[1]).status, 'failed');
  await told(run);
});

test('a failed attempt is made again under the same id, and each is told', async (t) => {
  const receiver = await webhookReceiver(t, 500, 503, 204);
  const { execution_id: id, run_id: run } = await start({ run_webhook: { url: receiver.url } });
  await agent.report(id, { status: 'succeeded' });
  const requests = await receiver.waitFor(3);
  assert.equal(new Set(requests.map(({ headers }) => headers['webhook-id'])).size, 1);
  assert.equal(new Set(requests.map(({ body }) => body)).size, 1);
  await told(run);
  const { webhook_events: events } = (await system.get(`/api/v1/runs/${run}`)).body;
  assert.deepEqual(
    events.map(({ attempt, http_status }: Body) => [attempt, http_status]),
    [
      [1, 500],
      [2, 503],
      [3, 204],
    ],
  );
});

test('a receiver that never takes it is given up, and the attempts are there', async (t) => {
  const receiver = await webhookReceiver(t, 410);
  const { execution_id: id, run_id: run } = await start({ run_webhook: { url: receiver.url } });
  await agent.report(id, { status: 'succeeded' });
  await receiver.waitFor(1);
  await told(run);
  const { webhook_events: events } = (await system.get(`/api/v1/runs/${run}`)).body;
  assert.deepEqual(
    events.map(({ http_status, error }: Body) => [http_status, error]),
    [[410, 'receiver answered 410']],
  );
});

test('a run that is cancelled is told of too, after all have ended', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const run = `run-${randomUUID()}`;
  const root = await start({ run_webhook: { url: receiver.url } }, { 'x-run-id': run });
  await start({}, child(run, root.execution_id));
  await system.running(root.execution_id);
  await system.post(`/api/v1/runs/${run}/cancel`);
  const [request] = await receiver.waitFor(1);
  const payload = payloadOf(request);
  assert.deepEqual([payload.status, payload.counts.cancelled], ['cancelled', 2]);
  assert.equal((await system.get(`/api/v1/runs/${run}`)).body.counts.cancelled, 2);
  await told(run);
  assert.equal(receiver.received.length, 1);
});

test('a run has one such webhook: another submit is refused, the same one again is not', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const headers = { 'x-run-id': `run-${randomUUID()}`, 'idempotency-key': randomUUID() };
  const body = { run_webhook: { url: receiver.url } };
  const { execution_id: id } = await start(body, headers);
  assert.equal((await start(body, headers)).execution_id, id);
  const other = await system.post('/api/v1/execute/async/a.x', body, { 'x-run-id': headers['x-run-id'] });
  assert.deepEqual([other.status, other.body.code], [409, 'run_webhook_registered']);
  await agent.report(id, { status: 'succeeded' });
  await receiver.waitFor(1);
  await told(headers['x-run-id']);
  assert.equal(payloadOf(receiver.received[0]).total_executions, 1, 'who was refused is nobody');
});

test('its URL and secret are readable nowhere', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const run_webhook = {
    url: `${receiver.url}/canary-path`,
    secret: 'canary-secret',
    headers: { 'x-a': 'canary-value' },
  };
  const { execution_id: id, run_id: run } = await start({ run_webhook });
  await agent.report(id, { status: 'succeeded' });
  await receiver.waitFor(1);
  await told(run);
  for (const workflowId of [id, runEndId(run, system.taskQueue)]) {
    const history = await system.client.workflow.getHandle(workflowId).fetchHistory();
    const texts = JSON.stringify(history, (_key, value) =>
      value instanceof Uint8Array ? Buffer.from(value).toString() : (value as unknown),
    );
    assert.doesNotMatch(texts, /canary/);
  }
  assert.doesNotMatch((await system.get(`/api/v1/runs/${run}`)).text, /canary/);
  assert.equal((await system.post('/api/v1/execute/async/a.x', { run_webhook: { url: 'nothing' } })).status, 400);
});

test('waiting for a long run costs no history', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const { execution_id: id, run_id: run } = await start({ run_webhook: { url: receiver.url } });
  await system.running(id);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await agent.report(id, { status: 'succeeded' });
  await receiver.waitFor(1);
  await told(run);
  const handle = system.client.workflow.getHandle(runEndId(run, system.taskQueue));
  const { events } = await handle.fetchHistory();
  assert.equal(events?.length, 17);
});
