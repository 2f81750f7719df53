import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { after, before, test } from 'node:test';
import { acceptingAgent, isCallOf, isCancelOf } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer, webhookReceiver } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const shared = sharedContext();
let agent: AcceptingAgent;
let system: System;
before(async () => {
  agent = await acceptingAgent(shared);
  system = await startSystem(shared, { agentNodes: { slow: agent.url } });
});
after(shared.close);

async function submit(body: unknown = {}): Promise<string> {
  return (await system.post('/api/v1/execute/async/slow.work', body)).body.execution_id as string;
}

async function closeStatus(id: string): Promise<string> {
  await system.client.workflow
    .getHandle(id)
    .result()
    .catch(() => undefined);
  return (await system.client.workflow.getHandle(id).describe()).status.name;
}

test('cancel answers 202, the agent is told, the webhook goes out, and the end is cancelled', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const id = await submit({ webhook: { url: receiver.url } });
  await agent.waitFor(1, isCallOf(id));
  const { status, body } = await system.post(`/api/v1/executions/${id}/cancel`, { reason: 'changed my mind' });
  assert.equal(status, 202);
  assert.equal(body.previous_status, 'running');
  const view = await system.end(id);
  assert.equal(view.status, 'cancelled');
  assert.equal(view.error, 'Execution cancelled: changed my mind');
  await agent.waitFor(1, isCancelOf(id));
  const [delivery] = await receiver.waitFor(1);
  const payload = JSON.parse(delivery?.body ?? '{}') as Record<string, unknown>;
  assert.equal(payload.event, 'execution.failed');
  assert.equal(payload.status, 'cancelled');
  assert.equal(payload.error, 'Execution cancelled: changed my mind');
  assert.equal(await closeStatus(id), 'CANCELLED');
  assert.equal((await agent.report(id, { status: 'succeeded', result: 1 })).status, 409);
});

test('cancelling what has ended is 409, and what never was 404', async () => {
  const id = await submit();
  await agent.report(id, { status: 'ok' });
  await system.end(id);
  assert.equal((await system.post(`/api/v1/executions/${id}/cancel`)).status, 409);
  assert.equal((await system.post(`/api/v1/executions/exec_${'0'.repeat(32)}/cancel`)).status, 404);
});

test('cancelling again is no news: the first reason stands, and signals are not spent on it', async (t) => {
  const unattended = await startSystem(t, { agentNodes: { slow: agent.url }, withWorker: false });
  const { body } = await unattended.post('/api/v1/execute/async/slow.work');
  for (let again = 0; again < 5; again++) {
    const cancel = `/api/v1/executions/${body.execution_id}/cancel`;
    assert.equal((await unattended.post(cancel, { reason: `r${again}` })).status, 202);
  }
  const { events } = await system.client.workflow.getHandle(body.execution_id).fetchHistory();
  assert.equal(events?.filter((event) => event.workflowExecutionSignaledEventAttributes).length, 1);
  await unattended.startWorker();
  assert.equal((await unattended.end(body.execution_id)).error, 'Execution cancelled: r0');
});

test('the call of an agent that is still answering is cut', async (t) => {
  let isCut: () => void = () => undefined;
  const cut = new Promise<void>((resolve) => (isCut = resolve));
  const hanging = await httpServer(t, (request, response) => {
    if (request.path.startsWith('/_internal/')) response.writeHead(200).end();
    else response.once('close', isCut);
  });
  const own = await startSystem(t, { agentNodes: { hang: hanging.url } });
  const id = (await own.post('/api/v1/execute/async/hang.work', {})).body.execution_id as string;
  await hanging.waitFor(1, isCallOf(id));
  assert.equal((await own.post(`/api/v1/executions/${id}/cancel`)).status, 202);
  assert.equal((await own.end(id)).status, 'cancelled');
  await hanging.waitFor(1, isCancelOf(id));
  await cut;
});

test('an execution is cancelled before any worker has seen it, and its webhook is sent when one comes', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const own = await startSystem(t, { agentNodes: { slow: agent.url }, withWorker: false });
  const { body } = await own.post('/api/v1/execute/async/slow.work', { webhook: { url: receiver.url } });
  assert.equal((await own.get(`/api/v1/executions/${body.execution_id}`)).body.status, 'queued');
  assert.equal((await own.post(`/api/v1/executions/${body.execution_id}/cancel`)).status, 202);
  await own.startWorker();
  const view = await own.end(body.execution_id);
  assert.equal(view.status, 'cancelled');
  assert.equal(view.started_at, null);
  await receiver.waitFor(1);
  assert.equal(agent.received.filter(isCallOf(body.execution_id)).length, 0);
});

test("an operator's Cancel in Temporal does the same", async () => {
  const id = await submit();
  await agent.waitFor(1, isCallOf(id));
  await system.client.workflow.getHandle(id).cancel();
  const view = await system.end(id);
  assert.equal(view.status, 'cancelled');
  assert.equal(view.error, 'Execution cancelled');
  await agent.waitFor(1, isCancelOf(id));
});

test("an operator's Terminate shows as cancelled and says so", async () => {
  const id = await submit();
  await agent.waitFor(1, isCallOf(id));
  await system.client.workflow.getHandle(id).terminate('spring cleaning');
  const view = await system.end(id);
  assert.equal(view.status, 'cancelled');
  assert.equal(view.error, 'Terminated by an operator: spring cleaning');
  const asked = await system.get(`/api/v1/executions/${id}`, { 'Cache-Control': 'no-cache' });
  assert.deepEqual(asked.body, view, 'the workflow itself cannot know that it was terminated');
});

test('a sync caller whose execution is cancelled gets 409 with the outcome', async () => {
  const waiting = system.post('/api/v1/execute/slow.work', {}, { 'X-Run-ID': 'run_cancel_sync' });
  const [call] = await agent.waitFor(1, (request) => request.headers['x-run-id'] === 'run_cancel_sync');
  await system.post(`/api/v1/executions/${String(call?.headers['x-execution-id'])}/cancel`, {});
  const { status, body } = await waiting;
  assert.equal(status, 409);
  assert.equal(body.status, 'cancelled');
});

test('an agent has a while to stop by itself, and what it leaves counts', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const own = await startSystem(t, { agentNodes: { slow: agent.url }, policy: { cancelGraceMs: 600_000 } });
  const { body } = await own.post('/api/v1/execute/async/slow.work', { webhook: { url: receiver.url } });
  const id = body.execution_id as string;
  await agent.waitFor(1, isCallOf(id));
  await own.post(`/api/v1/executions/${id}/events`, { type: 'step', kind: 'thought', name: 'half of it' });
  await own.post(`/api/v1/executions/${id}/cancel`, { reason: 'enough' });
  const [told] = await agent.waitFor(1, isCancelOf(id));
  assert.deepEqual(JSON.parse(told?.body ?? '{}'), { reason: 'enough', grace_ms: 600_000 });
  const asked = await own.post(`/api/v1/executions/${id}/events`, { events: [] });
  assert.equal(asked.body.control, 'cancel');
  assert.equal((await own.get(`/api/v1/executions/${id}`)).body.status, 'running');
  await agent.report(id, { status: 'cancelled', error: 'stopped at half', partial_result: { pages: 6 } });
  const view = await own.end(id);
  assert.equal(view.status, 'cancelled');
  assert.deepEqual(view.partial_result, { pages: 6 });
  assert.equal(view.last_step.name, 'half of it');
  const [delivery] = await receiver.waitFor(1);
  assert.deepEqual((JSON.parse(delivery?.body ?? '{}') as { partial_result: unknown }).partial_result, { pages: 6 });
  assert.equal(agent.received.filter(isCancelOf(id)).length, 1, 'it is told once');
});

test('an agent that was about to finish may do so in its grace', async (t) => {
  const own = await startSystem(t, { agentNodes: { slow: agent.url }, policy: { cancelGraceMs: 600_000 } });
  const id = (await own.post('/api/v1/execute/async/slow.work')).body.execution_id as string;
  await agent.waitFor(1, isCallOf(id));
  await own.post(`/api/v1/executions/${id}/cancel`);
  await agent.waitFor(1, isCancelOf(id));
  assert.equal((await agent.report(id, { status: 'succeeded', result: 'just in time' })).status, 200);
  assert.equal((await own.end(id)).result, 'just in time');
});

test('terminate skips the grace, also in the middle of it, and grace_ms sets it', async (t) => {
  const own = await startSystem(t, { agentNodes: { slow: agent.url }, policy: { cancelGraceMs: 600_000 } });
  const begin = async () => {
    const id = (await own.post('/api/v1/execute/async/slow.work')).body.execution_id as string;
    await agent.waitFor(1, isCallOf(id));
    await own.running(id);
    return id;
  };
  const [first, second, third] = await Promise.all([begin(), begin(), begin()]);
  await own.post(`/api/v1/executions/${first}/cancel?terminate=true`, { reason: 'now' });
  assert.equal((await own.end(first)).error, 'Execution cancelled: now');
  await own.post(`/api/v1/executions/${second}/cancel`, { reason: 'please' });
  await agent.waitFor(1, isCancelOf(second));
  assert.equal((await own.get(`/api/v1/executions/${second}`)).body.status, 'running');
  await own.post(`/api/v1/executions/${second}/cancel?terminate=true`);
  assert.equal((await own.end(second)).error, 'Execution cancelled: please');
  await own.post(`/api/v1/executions/${third}/cancel`, { grace_ms: 1 });
  assert.equal((await own.end(third)).status, 'cancelled');
  const rogue = await agent.report(third, { status: 'running', current_action: 'I go on' });
  assert.equal(rogue.status, 409);
  assert.equal(rogue.body.control, 'cancel');
  assert.equal((await own.post(`/api/v1/executions/${third}/cancel?terminate=yes`)).status, 400);
  assert.equal((await own.post(`/api/v1/executions/${third}/cancel`, { grace_ms: -1 })).status, 400);
});

test('a streaming agent that ends itself when it is asked to is cancelled, with what it left', async (t) => {
  const streaming = await httpServer(t, (request, response) => {
    if (request.path.startsWith('/_internal/')) {
      const partial = { type: 'error', error: 'cancelled', partial_result: [1, 2] };
      for (const open of opened.splice(0)) open.end(`${JSON.stringify(partial)}\n`);
      return void response.writeHead(200).end();
    }
    response.writeHead(200, { 'content-type': 'application/x-ndjson' }).write('{"type":"note","text":"on it"}\n');
    opened.push(response);
  });
  const opened: ServerResponse[] = [];
  const own = await startSystem(t, { agentNodes: { s: streaming.url }, policy: { cancelGraceMs: 600_000 } });
  const id = (await own.post('/api/v1/execute/async/s.work')).body.execution_id as string;
  await streaming.waitFor(1, isCallOf(id));
  await own.running(id);
  await own.post(`/api/v1/executions/${id}/cancel`, { reason: 'enough' });
  const view = await own.end(id);
  assert.equal(view.status, 'cancelled');
  assert.equal(view.error, 'Execution cancelled: enough');
  assert.deepEqual(view.partial_result, [1, 2]);
});
