import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { acceptingAgent, isCallOf } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer, sendJson } from '../support/http-server.ts';
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

async function start(on: System, target: string, more: object = {}): Promise<string> {
  return (await on.post(`/api/v1/execute/async/${target}`, more)).body.execution_id as string;
}

test('an agent at work is told to hold, and goes on when the execution does', async () => {
  const id = await start(system, 'a.work');
  await agent.callbackUrl(id);
  await system.running(id);
  const paused = await system.post(`${path(id)}/pause`, { by: 'ann', reason: 'lunch' });
  assert.equal(paused.status, 200);
  assert.equal(paused.body.status, 'paused');
  assert.ok(paused.body.paused_at);
  assert.deepEqual(paused.body.paused, { since: paused.body.paused_at, by: 'ann', reason: 'lunch' });
  assert.equal((await system.post(`${path(id)}/pause`)).body.sequence, paused.body.sequence, 'again is no news');
  const { body } = await agent.report(id, { status: 'running', current_action: 'still at it' });
  assert.equal(body.control, 'hold');
  assert.equal(body.status, 'paused', 'an agent does not decide that');
  assert.equal((await system.get(path(id))).body.waiting_on.detail, 'paused by ann: lunch');
  const resumed = await system.post(`${path(id)}/resume`);
  assert.equal(resumed.body.status, 'running');
  assert.equal((await agent.report(id, { status: 'running' })).body.control, 'continue');
  assert.equal((await system.post(`${path(id)}/resume`)).status, 409);
  await agent.report(id, { status: 'succeeded' });
  await system.end(id);
  assert.equal((await system.post(`${path(id)}/pause`)).status, 409);
});

test('paused before any worker has seen it, the agent is not called until it goes on', async (t) => {
  const own = await startSystem(t, { agentNodes: { a: agent.url }, withWorker: false });
  const id = await start(own, 'a.work');
  assert.equal((await own.post(`${path(id)}/pause`)).body.status, 'paused');
  await own.startWorker();
  const other = await start(own, 'a.work');
  await agent.waitFor(1, isCallOf(other));
  assert.equal(agent.received.filter(isCallOf(id)).length, 0);
  const resumed = await own.post(`${path(id)}/resume`);
  assert.equal(resumed.body.status, 'queued');
  await agent.waitFor(1, isCallOf(id));
  const view = await own.running(id);
  assert.ok(Date.parse(view.started_at) >= Date.parse(resumed.body.resumed_at) - 1_000);
  const asked = await own.get(path(id), { 'cache-control': 'no-cache' });
  assert.equal(asked.body.started_at, view.started_at, 'the workflow and its history tell the same');
});

test('a failed call is not made again while the execution is paused', async (t) => {
  let isWell = false;
  const failing = await httpServer(t, (_request, response) => {
    if (isWell) sendJson(response, 200, { well: true });
    else sendJson(response, 503, {});
  });
  const policy = { agent: { maximumAttempts: 100, initialIntervalMs: 100, maximumIntervalMs: 100 } };
  for (const patienceMs of [500, undefined]) {
    isWell = false;
    const own = await startSystem(t, {
      agentNodes: { f: failing.url },
      policy: { agent: { ...policy.agent, patienceMs } },
    });
    const id = await start(own, 'f.work');
    await failing.waitFor(2, isCallOf(id));
    await own.post(`${path(id)}/pause`);
    // The retry that comes due finds it paused, and hands the call back.
    const handle = own.client.workflow.getHandle(id);
    for (let pending = 1; pending > 0;) pending = (await handle.describe()).raw.pendingActivities?.length ?? 0;
    const calls = failing.received.filter(isCallOf(id)).length;
    isWell = true;
    await own.post(`${path(id)}/resume`);
    const view = await own.end(id);
    assert.equal(view.status, 'succeeded');
    const attempts = failing.received.filter(isCallOf(id)).map(({ headers }) => headers['perdure-attempt']);
    assert.deepEqual(
      attempts,
      Array.from({ length: calls + 1 }, (_, i) => String(i + 1)),
    );
  }
});

test('time paused does not count against the limit, whether the agent has said 202 or is still answering', async (t) => {
  const answering = await httpServer(t, (request, response) => {
    if (request.path.startsWith('/_internal/')) response.writeHead(200).end();
  });
  const own = await startSystem(t, { agentNodes: { a: agent.url, slow: answering.url } });
  const limitMs = 2_000;
  for (const target of ['a.work', 'slow.work']) {
    const id = await start(own, target, { timeout_ms: limitMs });
    const server = target === 'a.work' ? agent : answering;
    await server.waitFor(1, isCallOf(id));
    await own.running(id);
    const { body: paused } = await own.post(`${path(id)}/pause`);
    // Another execution with the same limit comes to its end in the meantime.
    const other = await start(own, 'a.work', { timeout_ms: limitMs });
    assert.equal((await own.end(other)).status, 'timeout');
    assert.equal((await own.get(path(id))).body.status, 'paused');
    const { body: resumed } = await own.post(`${path(id)}/resume`);
    assert.equal(resumed.status, 'running');
    const view = await own.end(id);
    assert.equal(view.status, 'timeout');
    const pausedMs = Date.parse(resumed.resumed_at) - Date.parse(paused.paused_at);
    assert.ok(view.duration_ms >= pausedMs + limitMs / 2, `${view.duration_ms} ms of which ${pausedMs} paused`);
    assert.equal(server.received.filter(isCallOf(id)).length, 1);
  }
});

test('what waits for an answer and is paused goes on only when both are over', async (t) => {
  const asking = await httpServer(t, (request, response) => {
    if (request.headers['perdure-turn'])
      return sendJson(response, 200, { got: (JSON.parse(request.body) as Body).answer });
    response.setHeader('perdure-status', 'waiting');
    sendJson(response, 200, { waiting: { kind: 'approval', text: 'ok?' } });
  });
  const own = await startSystem(t, { agentNodes: { q: asking.url } });
  const id = await start(own, 'q.work');
  for (let view: Body = {}; !view.waiting;) ({ body: view } = await own.get(`${path(id)}?wait=5`));
  assert.equal((await own.post(`${path(id)}/pause`)).body.status, 'paused');
  assert.equal((await own.post(`${path(id)}/approval`, { decision: 'approve' })).status, 409);
  assert.equal((await own.post(`${path(id)}/resume`, { data: 1 })).status, 409, 'an answer would be lost');
  assert.equal((await own.post(`${path(id)}/resume`)).body.status, 'waiting');
  assert.equal((await own.post(`${path(id)}/resume`)).status, 409, 'an approval is not given by going on');
  assert.equal((await own.post(`${path(id)}/approval`, { decision: 'approve' })).status, 200);
  assert.equal((await own.end(id)).result.got.decision, 'approve');
});

test('an execution that is paused can be cancelled', async () => {
  const id = await start(system, 'a.work');
  await agent.callbackUrl(id);
  await system.running(id);
  await system.post(`${path(id)}/pause`);
  await system.post(`${path(id)}/cancel`);
  const view = await system.end(id);
  assert.equal(view.status, 'cancelled');
  assert.equal(view.paused, null);
});

test('a question does not expire while the execution is paused', async (t) => {
  const asking = await httpServer(t, (request, response) => {
    if (request.headers['perdure-turn']) return sendJson(response, 200, (JSON.parse(request.body) as Body).answer);
    response.setHeader('perdure-status', 'waiting');
    sendJson(response, 200, { waiting: { kind: 'question', text: '?', expires_in_ms: 400, default: 'none' } });
  });
  const own = await startSystem(t, { agentNodes: { q: asking.url }, withWorker: false });
  const id = await start(own, 'q.work');
  await own.post(`${path(id)}/pause`);
  await own.startWorker();
  await own.post(`${path(id)}/resume`);
  for (let view: Body = {}; !view.waiting;) ({ body: view } = await own.get(`${path(id)}?wait=1`));
  const { status } = await own.post(`${path(id)}/pause`);
  if (status === 200) {
    // Until its timer has fired.
    const handle = own.client.workflow.getHandle(id);
    const fired = async () => (await handle.fetchHistory()).events?.some((event) => event.timerFiredEventAttributes);
    while (!(await fired()));
    assert.equal((await own.get(path(id))).body.waiting?.text, '?', 'it is still open');
    await own.post(`${path(id)}/resume`);
  }
  const { result } = await own.end(id);
  assert.deepEqual(result, { data: 'none', is_default: true });
});
