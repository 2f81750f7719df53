import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerResponse } from 'node:http';
import { agentReportSignal } from '../../workflows/contract.ts';
import { isCallOf } from '../support/agents.ts';
import { httpServer, sendJson } from '../support/http-server.ts';
import type { Received } from '../support/http-server.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

/** Longer than any test lasts: a call that is handed over all the same was not waited for. */
const LONG_MS = 5_000;

interface Call {
  request: Received;
  response: ServerResponse;
  /** Resolves when the connection is gone before there was an answer. */
  cut: Promise<void>;
}

/** An agent whose calls the test answers, or not. */
async function openAgent(t: TestContext) {
  const calls: Call[] = [];
  const server = await httpServer(t, (request, response) => {
    if (request.path.startsWith('/_internal/')) return void response.writeHead(200).end();
    const cut = new Promise<void>((resolve) => {
      response.once('close', () => !response.writableFinished && resolve());
    });
    calls.push({ request, response, cut });
  });
  const call = async (count: number): Promise<Call> => {
    await server.waitFor(count, ({ path }) => !path.startsWith('/_internal/'));
    const [last] = calls.slice(count - 1);
    assert.ok(last);
    return last;
  };
  return { url: server.url, call, attempts: () => calls.map(({ request }) => request.headers['perdure-attempt']) };
}

async function submit(system: System, body: object = {}): Promise<string> {
  return String((await system.post('/api/v1/execute/async/a.x', body)).body.execution_id);
}

/** The execution once its call is an activity. */
async function handedOver(system: System, id: string): Promise<Body> {
  let { body } = await system.get(`/api/v1/executions/${id}`);
  while (body.lane !== 'activity') ({ body } = await system.get(`/api/v1/executions/${id}?wait=20`));
  return body;
}

test('an agent slower than the patience is called once, and what it says arrives', async (t) => {
  const agent = await openAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url }, policy: { agent: { patienceMs: 100 } } });
  const id = await submit(system);
  const { response } = await agent.call(1);
  await handedOver(system, id);
  sendJson(response, 200, { late: true });
  const view = await system.end(id);
  assert.deepEqual([view.status, view.result, view.lane], ['succeeded', { late: true }, 'activity']);
  assert.deepEqual(agent.attempts(), ['1']);
});

test('a worker that is stopped while it follows a call leaves it to the next one, as attempt 2', async (t) => {
  const agent = await openAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url }, policy: { agent: { patienceMs: 100 } } });
  const id = await submit(system);
  await agent.call(1);
  await handedOver(system, id);
  await system.stopWorker();
  await system.startWorker();
  sendJson((await agent.call(2)).response, 200, 'second');
  const view = await system.end(id);
  assert.deepEqual([view.status, view.result, view.error], ['succeeded', 'second', null]);
  assert.deepEqual(agent.attempts(), ['1', '2']);
});

test('a worker that is stopped in the middle of a first call leaves it to the next one, as attempt 2', async (t) => {
  const agent = await openAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url }, policy: { agent: { patienceMs: 2_000 } } });
  const id = await submit(system);
  await agent.call(1);
  await system.stopWorker();
  await system.startWorker();
  sendJson((await agent.call(2)).response, 200, 'second');
  const view = await system.end(id);
  assert.deepEqual([view.status, view.result, view.error], ['succeeded', 'second', null]);
  assert.deepEqual(agent.attempts(), ['1', '2']);
});

test('a cancel cuts the connection of a call that was handed over', async (t) => {
  const agent = await openAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url }, policy: { agent: { patienceMs: 100 } } });
  const id = await submit(system);
  const { cut } = await agent.call(1);
  await handedOver(system, id);
  assert.equal((await system.post(`/api/v1/executions/${id}/cancel`)).status, 202);
  await cut;
  assert.equal((await system.end(id)).status, 'cancelled');
  assert.deepEqual(agent.attempts(), ['1']);
});

for (const [when, patienceMs] of [
  ['within the patience', LONG_MS],
  ['after the hand-over', 100],
] as const)
  test(`a limit that passes ${when} ends the execution as timeout and cuts the one call`, async (t) => {
    const agent = await openAgent(t);
    const system = await startSystem(t, { agentNodes: { a: agent.url }, policy: { agent: { patienceMs } } });
    const id = await submit(system, { timeout_ms: 1_500 });
    const { cut } = await agent.call(1);
    const view = await system.end(id);
    assert.deepEqual([view.status, view.error_details], ['timeout', 'Execution exceeded 1.5 second limit']);
    assert.equal(await Promise.race([cut, sleep(30_000, 'not cut', { ref: false })]), undefined);
    assert.deepEqual(agent.attempts(), ['1']);
  });

test('a stream is handed over at its head, and what it reports arrives while it is open', async (t) => {
  const agent = await openAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url }, policy: { agent: { patienceMs: LONG_MS } } });
  const id = await submit(system);
  const { response } = await agent.call(1);
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.write('{"type":"progress","progress_pct":10}\n');
  let view = await handedOver(system, id);
  while (view.progress_pct === null) ({ body: view } = await system.get(`/api/v1/executions/${id}?wait=20`));
  assert.deepEqual([view.progress_pct, view.status], [10, 'running']);
  response.end('{"type":"result","result":1}\n');
  assert.equal((await system.end(id)).result, 1);
  assert.deepEqual(agent.attempts(), ['1']);
});

test('calls that a full worker declines are made all the same, each of them once', async (t) => {
  const agent = await openAgent(t);
  const system = await startSystem(t, {
    agentNodes: { a: agent.url },
    policy: { agent: { patienceMs: 100 } },
    maxConcurrentActivities: 1,
  });
  const first = await submit(system);
  await agent.call(1);
  const second = await submit(system);
  const declined = await agent.call(2);
  assert.ok(isCallOf(second)(declined.request));
  for (const { response } of [await agent.call(1), declined]) sendJson(response, 200, 'done');
  for (const id of [first, second]) assert.equal((await system.end(id)).result, 'done');
  assert.deepEqual(agent.attempts(), ['1', '1']);
});

test("a client's cancel in the middle of a first call is recorded after it, and makes no second one", async (t) => {
  const agent = await openAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url }, policy: { agent: { patienceMs: 3_000 } } });
  const id = await submit(system);
  const { cut } = await agent.call(1);
  assert.equal((await system.post(`/api/v1/executions/${id}/cancel`)).status, 202);
  assert.equal((await system.end(id)).status, 'cancelled');
  await cut;
  assert.deepEqual(agent.attempts(), ['1']);
  const { events = [] } = await system.client.workflow.getHandle(id).fetchHistory();
  const taskEnd = events?.findIndex((event) => event.workflowTaskCompletedEventAttributes) ?? -1;
  const cancel = events?.findIndex((event) => event.workflowExecutionCancelRequestedEventAttributes) ?? -1;
  assert.ok(taskEnd > 0 && cancel > taskEnd, `task ended at ${taskEnd}, cancel at ${cancel}`);
});

for (const maximumAttempts of [3, 1])
  test(`an answer whose task came to nothing is kept: no second call, of ${maximumAttempts} allowed`, async (t) => {
    const agent = await openAgent(t);
    const policy = { agent: { patienceMs: LONG_MS, maximumAttempts } };
    const system = await startSystem(t, { agentNodes: { a: agent.url }, policy });
    const id = await submit(system);
    const { response } = await agent.call(1);
    // Past the API, which would wait: Temporal does not let a task end the execution that has not seen this.
    await system.client.workflow.getHandle(id).signal(agentReportSignal, [{ type: 'progress', progressPct: 5 }]);
    sendJson(response, 200, 'first');
    const view = await system.end(id);
    assert.deepEqual([view.status, view.result, view.progress_pct], ['succeeded', 'first', 5]);
    assert.deepEqual(agent.attempts(), ['1']);
  });

test('what was said before any worker came is no attempt', async (t) => {
  const agent = await openAgent(t);
  const system = await startSystem(t, {
    agentNodes: { a: agent.url },
    policy: { agent: { patienceMs: LONG_MS, maximumAttempts: 1 } },
    withWorker: false,
  });
  const id = await submit(system);
  assert.equal((await system.post(`/api/v1/executions/${id}/status`, { status: 'queued' })).status, 200);
  await system.startWorker();
  sendJson((await agent.call(1)).response, 200, 'first');
  assert.equal((await system.end(id)).result, 'first');
  assert.deepEqual(agent.attempts(), ['1']);
});
