import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { acceptingAgent, isCallOf } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer, sendJson, webhookReceiver } from '../support/http-server.ts';
import type { TestServer } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

const shared = sharedContext();
let accepting: AcceptingAgent;
let hanging: TestServer;
let failing: TestServer;
let system: System;

before(async () => {
  accepting = await acceptingAgent(shared);
  hanging = await httpServer(shared, () => undefined);
  failing = await httpServer(shared, (_request, response) => sendJson(response, 503, { error: 'no capacity' }));
  system = await startSystem(shared, {
    agentNodes: {
      a: accepting.url,
      h: hanging.url,
      f: { url: failing.url, retry: { max_attempts: 5, initial_interval_ms: 60_000 } },
    },
    policy: { webhook: { initialIntervalMs: 60_000, maximumIntervalMs: 60_000 } },
  });
});
after(shared.close);

const read = async (id: string): Promise<Body> => (await system.get(`/api/v1/executions/${id}`)).body;

async function until(id: string, isSo: (view: Body) => boolean): Promise<Body> {
  for (;;) {
    const view = await read(id);
    if (isSo(view)) return view;
    await sleep(100);
  }
}

async function start(target: string, more: object = {}): Promise<string> {
  return (await system.post(`/api/v1/execute/async/${target}`, more)).body.execution_id as string;
}

test('an agent that has said 202 is waited for by its callback, one that says waiting by a person', async () => {
  const id = await start('a.x');
  await accepting.callbackUrl(id);
  const { waiting_on } = await until(id, (view) => view.waiting_on?.kind === 'callback');
  assert.ok(Date.parse(waiting_on.since) > 0);
  await accepting.report(id, { status: 'waiting', current_action: 'approve the order' });
  const asked = await read(id);
  assert.equal(asked.waiting_on.kind, 'human');
  assert.equal(asked.waiting_on.detail, 'approve the order');
  await accepting.report(id, { status: 'succeeded' });
  assert.equal((await system.end(id)).waiting_on, null);
});

test('an agent that does not answer: since when, and when its worker last showed itself', async () => {
  const id = await start('h.x');
  await hanging.waitFor(1, isCallOf(id));
  const { waiting_on } = await until(id, (view) => typeof view.waiting_on?.last_heartbeat_at === 'string');
  assert.equal(waiting_on.kind, 'agent');
  assert.equal(waiting_on.attempt, 1);
  assert.equal(waiting_on.last_error, null);
  await system.post(`/api/v1/executions/${id}/cancel`);
  await system.end(id);
});

test('an agent that failed: what it said, and when it is called again', async () => {
  const id = await start('f.x');
  await failing.waitFor(1, isCallOf(id));
  const { waiting_on } = await until(id, (view) => view.waiting_on?.kind === 'retry');
  assert.equal(waiting_on.attempt, 2);
  assert.match(waiting_on.last_error, /no capacity/);
  assert.ok(Date.parse(waiting_on.next_retry_at) > Date.now());
  await system.post(`/api/v1/executions/${id}/cancel`);
  await system.end(id);
});

test('a webhook that was not taken: the error, and when it is sent again', async (t) => {
  const receiver = await webhookReceiver(t, 500);
  const id = await start('a.x', { webhook: { url: receiver.url } });
  await accepting.report(id, { status: 'succeeded', result: 1 });
  await receiver.waitFor(1);
  const { waiting_on } = await until(id, (view) => view.waiting_on?.kind === 'retry');
  assert.equal(waiting_on.attempt, 2);
  assert.match(waiting_on.last_error, /500/);
  assert.ok(Date.parse(waiting_on.next_retry_at) > Date.now());
});

test('without a worker that is what is waited for', async (t) => {
  const idle = await startSystem(t, { agentNodes: { a: accepting.url }, withWorker: false });
  const { body } = await idle.post('/api/v1/execute/async/a.x');
  const view = (await idle.get(`/api/v1/executions/${body.execution_id}`)).body;
  assert.equal(view.status, 'queued');
  assert.equal(view.waiting_on.kind, 'worker');
  assert.equal(view.waiting_on.detail, 'no worker has taken it up yet');
});

test('a poll of one that moves asks Temporal nothing, and many polls of one that does not ask once', async () => {
  const id = await start('h.x');
  await hanging.waitFor(1, isCallOf(id));
  await until(id, (view) => view.waiting_on?.attempt === 1);
  const views = await Promise.all(Array.from({ length: 200 }, () => read(id)));
  assert.ok(views.every(({ waiting_on }) => waiting_on.kind === 'agent'));
  await system.post(`/api/v1/executions/${id}/cancel`);
});
