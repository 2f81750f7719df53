import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { batchAccepted, batchView } from '../../api/batch-schemas.ts';
import { acceptingAgent } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer, sendJson, webhookReceiver } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

const shared = sharedContext();
let agent: AcceptingAgent;
let system: System;
let most = 0;
before(async () => {
  agent = await acceptingAgent(shared);
  let open = 0;
  const busy = await httpServer(shared, (request, response) => {
    most = Math.max(most, (open += 1));
    setTimeout(() => {
      open -= 1;
      const { n } = JSON.parse(request.body) as Body;
      sendJson(response, n % 10 === 3 ? 422 : 200, { n });
    }, 20);
  });
  system = await startSystem(shared, { agentNodes: { a: agent.url, busy: busy.url } });
});
after(shared.close);

async function submit(body: unknown, headers: Record<string, string> = {}, at = system): Promise<Body> {
  const { status, body: answer, text } = await at.post('/api/v1/executions/batch', body, headers);
  assert.equal(status, 202, text);
  return batchAccepted.strict().parse(answer);
}

async function viewOf(id: string, query = '', at = system): Promise<Body> {
  const { status, body, text } = await at.get(`/api/v1/batches/${id}${query}`);
  assert.equal(status, 200, text);
  return batchView.strict().parse(body);
}

async function ended(id: string, at = system): Promise<Body> {
  await at.client.workflow
    .getHandle(id)
    .result()
    .catch(() => undefined);
  return viewOf(id, '?limit=1000', at);
}

const many = (count: number, target: string) =>
  Array.from({ length: count }, (_, n) => ({ target, input: { n } }) as Body);
const callsOf = (run: string) => agent.received.filter(({ headers }) => headers['x-run-id'] === run);

test('a batch is done within its window, and its end is told once, signed', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const secret = `whsec_${Buffer.from('of the batch').toString('base64')}`;
  most = 0;
  const body = { items: many(60, 'busy.x'), max_in_flight: 5, webhook: { url: receiver.url, secret } };
  const answer = await submit(body);
  const id = answer.batch_id as string;
  assert.deepEqual([answer.total, answer.accepted_count, answer.refused_count], [60, 60, 0]);
  const [request] = await receiver.waitFor(1);
  const payload = JSON.parse(request?.body ?? '{}') as Body;
  new Webhook(secret).verify(request?.body ?? '', request?.headers as Record<string, string>);
  assert.deepEqual(
    [payload.event, payload.batch_id, payload.status, payload.total],
    ['batch.completed', id, 'completed', 60],
  );
  assert.deepEqual(payload.counts, { succeeded: 54, failed: 6, timeout: 0, cancelled: 0, not_started: 0 });
  const view = await ended(id);
  assert.equal(view.status, 'completed');
  assert.deepEqual([view.counts.succeeded, view.counts.failed, view.counts.pending], [54, 6, 0]);
  assert.deepEqual(
    view.items.map(({ execution_id }: Body) => execution_id),
    answer.items.map(({ execution_id }: Body) => execution_id),
  );
  assert.equal(view.items[3].status, 'failed');
  assert.equal(view.webhook_events.length, 1);
  assert.ok(most <= 5, `${most} at a time`);
  assert.ok(most >= 3, `only ${most} at a time`);
  assert.equal(receiver.received.length, 1);
  const { events } = await system.client.workflow.getHandle(id).fetchHistory();
  assert.equal(events?.length, 17, 'however many items it has');
  const item = await system.end(answer.items[7].execution_id);
  assert.deepEqual([item.run_id, item.result], [id, { n: 7 }]);
  assert.equal((await system.get(`/api/v1/runs/${id}`)).body.total_executions, 60);
});

test('each item is accepted or refused by itself, and told why', async () => {
  const items = [
    { target: 'a.x' },
    { target: 'nobody.x' },
    { target: 'no target' },
    'no object',
    { target: 'a.x', inpt: {} },
    { target: 'a.x', webhook: { url: 'secret-nonsense' } },
    { target: 'a.x', run_webhook: { url: 'http://127.0.0.1:1' } },
  ];
  const answer = await submit({ items });
  assert.deepEqual([answer.accepted_count, answer.refused_count], [1, 6]);
  const codes = answer.items.map(({ error }: Body) => error?.code ?? null);
  const invalid = 'invalid_request';
  assert.deepEqual(codes, [null, 'target_not_found', 'invalid_target', invalid, invalid, invalid, invalid]);
  assert.doesNotMatch(JSON.stringify(answer), /secret-nonsense/);
  assert.equal(answer.items[4].error.errors[0].path, '$.inpt');
  const view = await viewOf(answer.batch_id);
  assert.deepEqual([view.total, view.items.length, view.items[0].index], [1, 1, 0]);
});

test('bad batches are refused as a whole', async () => {
  const refused = async (body: unknown) => (await system.post('/api/v1/executions/batch', body)).body.code as string;
  assert.equal(await refused({ items: [] }), 'invalid_request');
  assert.equal(await refused({}), 'invalid_request');
  assert.equal(await refused({ items: many(1_001, 'a.x') }), 'invalid_request');
  assert.equal(await refused({ items: many(1, 'a.x'), max_in_flight: 0 }), 'invalid_request');
  assert.equal(await refused({ items: many(1, 'a.x'), webhook: { url: 'x' } }), 'invalid_request');
  const none = await system.post('/api/v1/executions/batch', { items: many(2, 'nobody.x') });
  assert.deepEqual([none.status, none.body.code, none.body.items.length], [422, 'nothing_accepted', 2]);
  for (const id of ['batch_nothing', `batch_${'0'.repeat(32)}`]) {
    assert.equal((await system.get(`/api/v1/batches/${id}`)).body.code, 'batch_not_found');
    assert.equal((await system.post(`/api/v1/batches/${id}/cancel`)).body.code, 'batch_not_found');
  }
});

test('a batch is in pages, and shows what waits for its turn', async () => {
  const { batch_id: id } = await submit({ items: many(6, 'a.x'), max_in_flight: 2 });
  await agent.waitFor(2, ({ headers }) => headers['x-run-id'] === id);
  const page = await viewOf(id, '?limit=4');
  assert.deepEqual([page.status, page.counts.pending, page.items.length, page.next_cursor], ['running', 4, 4, '4']);
  const rest = await viewOf(id, `?limit=4&cursor=${page.next_cursor}`);
  assert.deepEqual([rest.items.length, rest.next_cursor], [2, null]);
  assert.ok(rest.items.every(({ status }: Body) => status === 'pending'));
  assert.equal((await system.get(`/api/v1/batches/${id}?cursor=7`)).status, 400);
  assert.equal((await system.get(`/api/v1/batches/${id}?cursor=x`)).status, 400);
  const [first] = page.items;
  await agent.report(first.execution_id, { status: 'succeeded' });
  await agent.waitFor(3, ({ headers }) => headers['x-run-id'] === id);
  assert.equal((await viewOf(id)).counts.pending, 3);
});

test('a batch that is cancelled starts nothing more, and cancels what is open, calls of its items too', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const body = { items: many(20, 'a.x'), max_in_flight: 3, webhook: { url: receiver.url } };
  const { batch_id: id } = await submit(body);
  const calls = await agent.waitFor(3, ({ headers }) => headers['x-run-id'] === id);
  const parent = String(calls[0]?.headers['x-execution-id']);
  const headers = { 'x-run-id': id, 'x-parent-execution-id': parent };
  const child = (await system.post('/api/v1/execute/async/a.x', {}, headers)).body.execution_id as string;
  const { status, body: answer } = await system.post(`/api/v1/batches/${id}/cancel`, { reason: 'enough' });
  assert.equal(status, 202);
  assert.equal(answer.cancelled_count, 4);
  const [request] = await receiver.waitFor(1);
  const payload = JSON.parse(request?.body ?? '{}') as Body;
  assert.equal(payload.status, 'cancelled');
  assert.deepEqual([payload.counts.cancelled, payload.counts.not_started], [3, 17]);
  const view = await ended(id);
  assert.equal(view.status, 'cancelled');
  assert.deepEqual([view.counts.cancelled, view.counts.not_started, view.counts.pending], [3, 17, 0]);
  assert.equal((await system.end(child)).error, 'Execution cancelled: enough');
  assert.equal(callsOf(id).length, 3 + 1);
});

test('what was accepted survives: without a worker, and when one dies in the middle, each item is called once', async (t) => {
  const calls = new Map<string, number>();
  const slow = await httpServer(t, (request, response) => {
    const id = String(request.headers['x-execution-id']);
    calls.set(id, (calls.get(id) ?? 0) + 1);
    sendJson(response, 202, {});
  });
  const own = await startSystem(t, { agentNodes: { a: slow.url }, withWorker: false });
  const { batch_id: id } = await submit({ items: many(12, 'a.x'), max_in_flight: 4 }, {}, own);
  assert.equal((await viewOf(id, '', own)).counts.pending, 12);
  await own.startWorker();
  const report = async (count: number) => {
    const requests = await slow.waitFor(count);
    for (const { headers } of requests.slice(count - 4))
      await own.post(`/api/v1/executions/${String(headers['x-execution-id'])}/status`, { status: 'succeeded' });
  };
  await report(4);
  await slow.waitFor(8);
  await own.stopWorker();
  await own.startWorker();
  await report(8);
  await report(12);
  assert.equal((await ended(id, own)).counts.succeeded, 12);
  assert.deepEqual(
    [...calls.values()],
    Array.from({ length: 12 }, () => 1),
  );
});

test('the same batch again, with its key, is the same batch, also after it was cancelled', async () => {
  const body = { items: many(2, 'a.x') };
  const headers = { 'idempotency-key': randomUUID() };
  const first = await submit(body, headers);
  const again = await submit(body, headers);
  assert.deepEqual(again, first);
  await system.post(`/api/v1/batches/${first.batch_id}/cancel`);
  assert.deepEqual(await submit(body, headers), first);
  const other = await system.post('/api/v1/executions/batch', { items: many(3, 'a.x') }, headers);
  assert.deepEqual([other.status, other.body.code], [422, 'idempotency_key_reused']);
});
