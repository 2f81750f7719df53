import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { isCallOf } from '../support/agents.ts';
import { httpServer, sendJson, webhookReceiver } from '../support/http-server.ts';
import { startSystem } from '../support/system.ts';

test('a sync call waits for the agent and answers with its result', async (t) => {
  const agent = await httpServer(t, (request, response) => {
    const { name } = JSON.parse(request.body) as { name: string };
    sendJson(response, 200, { greeting: `Hello, ${name}` });
  });
  const system = await startSystem(t, { agentNodes: { hello: agent.url } });

  const { status, body, headers } = await system.post(
    '/api/v1/execute/hello.greet',
    { input: { name: 'Ada' } },
    { 'X-Run-ID': 'run_mine', 'X-Session-ID': 'ses_1', 'X-Actor-ID': 'act_1', 'X-Parent-Execution-ID': 'exec_parent' },
  );
  assert.equal(status, 200);
  assert.deepEqual(body.result, { greeting: 'Hello, Ada' });
  assert.equal(body.status, 'succeeded');
  assert.equal(body.run_id, 'run_mine');
  assert.equal(body.webhook_registered, false);
  assert.equal(typeof body.duration_ms, 'number');
  assert.ok(Date.parse(body.finished_at) > 0);
  assert.equal(headers.get('X-Execution-ID'), body.execution_id);
  assert.equal(headers.get('X-Run-ID'), 'run_mine');

  const [call] = agent.received;
  assert.equal(agent.received.length, 1);
  assert.equal(call?.path, '/reasoners/greet');
  assert.equal(call?.headers['x-execution-id'], body.execution_id);
  assert.equal(call?.headers['x-run-id'], 'run_mine');
  assert.equal(call?.headers['x-session-id'], 'ses_1');
  assert.equal(call?.headers['x-actor-id'], 'act_1');
  assert.equal(call?.headers['x-parent-execution-id'], 'exec_parent');
  assert.equal(call?.headers['perdure-attempt'], '1');
});

test('an async call answers 202 at once, can be read at once, and its webhook brings the result', async (t) => {
  const agent = await httpServer(t, (_request, response) => sendJson(response, 200, { answer: 42 }));
  const receiver = await webhookReceiver(t, 204);
  const system = await startSystem(t, { agentNodes: { deep: agent.url } });

  const { status, body, headers } = await system.post('/api/v1/execute/async/deep.think', {
    input: {},
    webhook: { url: `${receiver.url}/hook`, secret: 's3cret' },
  });
  assert.equal(status, 202, JSON.stringify(body));
  assert.equal(headers.get('Location'), `/api/v1/executions/${body.execution_id}`);
  assert.ok(Number(headers.get('Retry-After')) >= 1);
  assert.equal(headers.get('X-Execution-ID'), body.execution_id);
  assert.equal(headers.get('X-Run-ID'), body.run_id);
  assert.equal(body.status, 'queued');
  assert.equal(body.workflow_id, body.run_id);
  assert.equal(body.target, 'deep.think');
  assert.equal(body.type, 'reasoner');
  assert.equal(body.webhook_registered, true);
  assert.equal(body.links.self, `/api/v1/executions/${body.execution_id}`);

  const first = await system.get(`/api/v1/executions/${body.execution_id}`);
  assert.equal(first.status, 200);
  assert.equal(first.body.created_at, body.created_at);

  const [delivery] = await receiver.waitFor(1);
  const payload = JSON.parse(delivery?.body ?? '{}') as Record<string, unknown>;
  assert.equal(payload.event, 'execution.completed');
  assert.equal(payload.status, 'succeeded');
  assert.deepEqual(payload.result, { answer: 42 });

  const last = await system.end(body.execution_id);
  assert.equal(last.status, 'succeeded');
  assert.deepEqual(last.result, { answer: 42 });
});

/** An agent whose answer the input chooses. */
async function obedientAgent(t: TestContext) {
  return httpServer(t, async (request, response) => {
    const { status = 200, answer, delayMs = 0, headers = {}, failTimes = 0 } = JSON.parse(request.body) as Order;
    const attempt = Number(request.headers['perdure-attempt']);
    if (delayMs) await new Promise((resolve) => setTimeout(resolve, delayMs));
    const isFailing = failTimes > 0 ? attempt <= failTimes : status !== 200;
    response.writeHead(isFailing ? (status === 200 ? 503 : status) : 200, {
      'content-type': 'application/json',
      ...headers,
    });
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer ?? { ok: true }));
  });
}
interface Order {
  status?: number;
  answer?: unknown;
  delayMs?: number;
  headers?: Record<string, string>;
  failTimes?: number;
}

test('an agent that fails for good makes 502, its 4xx is passed on, and both bodies tell the same story', async (t) => {
  const agent = await obedientAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url } });
  const broken = await system.post('/api/v1/execute/a.x', { input: { status: 500, answer: { why: 'bug' } } });
  assert.equal(broken.status, 502);
  assert.equal(broken.body.status, 'failed');
  assert.equal(broken.body.error, 'agent error (500): {"why":"bug"}');
  assert.deepEqual(broken.body.error_details, { why: 'bug' });
  assert.ok(broken.body.finished_at && broken.body.run_id);
  const calls = (id: string) => agent.received.filter((call) => call.headers['x-execution-id'] === id);
  assert.deepEqual(
    calls(broken.body.execution_id).map((call) => call.headers['perdure-attempt']),
    ['1', '2', '3'],
    '5xx is retried',
  );
  const refused = await system.post('/api/v1/execute/a.x', { input: { status: 422, answer: { detail: 'no' } } });
  assert.equal(refused.status, 422);
  assert.equal(refused.body.status, 'failed');
  assert.equal(calls(refused.body.execution_id).length, 1, '4xx is not retried');
  const redirect = await system.post('/api/v1/execute/a.x', {
    input: { status: 302, headers: { location: 'http://127.0.0.1:9/' } },
  });
  assert.equal(redirect.status, 502);
  assert.equal(calls(redirect.body.execution_id).length, 1, 'a redirect is an answer, and not followed');
});

test('an agent that recovers is called again until it answers, Retry-After included', async (t) => {
  const agent = await obedientAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url } });
  const { status, body } = await system.post('/api/v1/execute/a.x', { input: { failTimes: 2 } });
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(agent.received.length, 3);
  await system.post('/api/v1/execute/a.x', { input: { failTimes: 1, status: 429, headers: { 'retry-after': '3' } } });
  const [first, second] = agent.received.slice(-2);
  assert.ok((second?.at ?? 0) - (first?.at ?? 0) >= 3000, 'the pause the agent asked for was kept');
});

test('a Retry-After of zero, or of the past, does not stop the retries', async (t) => {
  const agent = await obedientAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url } });
  for (const retryAfter of ['0', 'Thu, 01 Jan 1970 00:00:00 GMT']) {
    const input = { failTimes: 2, headers: { 'retry-after': retryAfter } };
    const { status, body } = await system.post('/api/v1/execute/a.x', { input });
    assert.equal(status, 200, JSON.stringify(body));
  }
});

test('a status that is about the hop to the agent is not passed on as if it were about the call of the client', async (t) => {
  const agent = await obedientAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url } });
  for (const status of [407, 408, 421, 425, 426, 431]) {
    const { status: told, body } = await system.post('/api/v1/execute/a.x', { input: { status } });
    assert.equal(told, 502, String(status));
    assert.match(String(body.error), new RegExp(`^agent error \\(${status}\\)`));
  }
});

test('an agent that nobody can reach is retried, then 502', async (t) => {
  const gone = await httpServer(undefined, () => undefined);
  await gone.close();
  const system = await startSystem(t, { agentNodes: { gone: gone.url } });
  const { status, body } = await system.post('/api/v1/execute/gone.x', {});
  assert.equal(status, 502);
  assert.equal(body.error, 'agent unreachable: ECONNREFUSED');
  assert.equal(body.error_category, 'agent_unreachable');
});

test('a sync call over its limit is 504 in AgentField words, and the execution has ended as timeout', async (t) => {
  const agent = await obedientAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url }, limits: { syncLimitMs: 1000 } });
  const { status, body } = await system.post('/api/v1/execute/a.x', { input: { delayMs: 8000 } });
  assert.equal(status, 504);
  assert.equal(body.error, 'Agent timeout');
  assert.equal(body.details, 'Execution exceeded 1 second limit');
  const { body: view } = await system.get(`/api/v1/executions/${body.execution_id}`);
  assert.equal(view.status, 'timeout');
});

test('the limit of a sync call is 90 seconds', async (t) => {
  const { loadApiConfig } = await import('../../api/config.ts');
  const key = `k:${Buffer.alloc(32).toString('base64')}`;
  assert.equal(loadApiConfig({ PERDURE_SECRET_KEYS: key }).limits.syncLimitMs, 90_000);
  const { timeoutEnding } = await import('../../workflows/endings.ts');
  const ending = timeoutEnding(90_000);
  assert.equal('errorDetails' in ending && ending.errorDetails, 'Execution exceeded 90 second limit');
  t.diagnostic('checked by its setting: a test does not wait 90 s');
});

test('Prefer never fails a call for being slow: the result in time, else 202 and no cap', async (t) => {
  const agent = await obedientAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url }, limits: { syncLimitMs: 500 } });
  const quick = await system.post('/api/v1/execute/a.x', { input: {} }, { Prefer: 'wait=20' });
  assert.equal(quick.status, 200);
  assert.equal(quick.headers.get('Preference-Applied'), 'wait=20');
  assert.equal(quick.headers.get('Vary'), 'Prefer');

  const slow = await system.post('/api/v1/execute/a.x', { input: { delayMs: 2500 } }, { Prefer: 'wait=1' });
  assert.equal(slow.status, 202);
  assert.equal(slow.headers.get('Location'), `/api/v1/executions/${slow.body.execution_id}`);
  assert.ok(slow.headers.get('Retry-After'));
  assert.equal((await system.end(slow.body.execution_id)).status, 'succeeded', 'the sync limit does not apply');

  const at_once = await system.post('/api/v1/execute/a.x', { input: {} }, { Prefer: 'respond-async' });
  assert.equal(at_once.status, 202);
  assert.equal(at_once.headers.get('Preference-Applied'), 'respond-async');
  const both = await system.post('/api/v1/execute/a.x', { input: {} }, { Prefer: 'respond-async, wait=20' });
  assert.equal(both.status, 200);
  const failing = await system.post('/api/v1/execute/a.x', { input: { status: 404 } }, { Prefer: 'wait=20' });
  assert.equal(failing.status, 404);
});

for (const [name, answer, result] of [
  ['a list', '[1,"two"]', [1, 'two']],
  ['a number', '7', 7],
  ['null', 'null', null],
  ['a text', 'plain words', 'plain words'],
  ['nothing', '', null],
] as const) {
  test(`${name} is a result too`, async (t) => {
    const agent = await obedientAgent(t);
    const system = await startSystem(t, { agentNodes: { a: agent.url } });
    const { body } = await system.post('/api/v1/execute/a.x', { input: { answer } });
    assert.equal(body.status, 'succeeded');
    assert.deepEqual(body.result, result);
  });
}

test('a result that is too large or nested too deeply ends the execution as failed', async (t) => {
  const agent = await httpServer(t, (request, response) => {
    const { kind } = JSON.parse(request.body) as { kind: string };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(kind === 'large' ? `"${'x'.repeat(1_100_000)}"` : '['.repeat(5000) + ']'.repeat(5000));
  });
  const system = await startSystem(t, { agentNodes: { a: agent.url } });
  const large = await system.post('/api/v1/execute/a.x', { input: { kind: 'large' } });
  assert.equal(large.status, 502);
  assert.match(large.body.error, /larger than the limit of 1048576 bytes/);
  const deep = await system.post('/api/v1/execute/a.x', { input: { kind: 'deep' } });
  assert.match(deep.body.error, /nested too deeply/);
});

test('skills are called under /skills, declared names are held, node headers and timeout_ms are kept', async (t) => {
  const agent = await obedientAgent(t);
  const system = await startSystem(t, {
    agentNodes: {
      a: {
        url: agent.url,
        reasoners: ['think'],
        skills: ['add'],
        headers: { authorization: 'Bearer t0' },
        timeout_ms: 400,
      },
    },
  });
  const { body } = await system.post('/api/v1/execute/async/a.add', {});
  assert.equal(body.type, 'skill');
  await system.end(body.execution_id);
  assert.equal(agent.received[0]?.path, '/skills/add');
  assert.equal(agent.received[0]?.headers.authorization, 'Bearer t0');
  const unknown = await system.post('/api/v1/execute/a.sing', {});
  assert.equal(unknown.status, 404);
  assert.match(unknown.body.error, /target 'sing' not found on agent 'a'; it has: think, add/);
  const slow = await system.post('/api/v1/execute/a.think', { input: { delayMs: 5000 } });
  assert.equal(slow.status, 504);
  assert.equal(slow.body.details, 'Agent call exceeded 0.4 second limit');
});

test('input and result near the limit come through, webhook and redelivery included; past it is 413', async (t) => {
  const agent = await httpServer(t, (request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(request.body);
  });
  const receiver = await webhookReceiver(t, 204);
  const system = await startSystem(t, { agentNodes: { echo: agent.url } });
  const input = { text: 'ä'.repeat(500_000) };
  const { body } = await system.post('/api/v1/execute/async/echo.x', { input, webhook: { url: receiver.url } });
  const [delivery] = await receiver.waitFor(1);
  assert.deepEqual((JSON.parse(delivery?.body ?? '{}') as { result: unknown }).result, input);
  // A worker that has not seen the execution before has to read its history.
  await system.stopWorker();
  await system.startWorker();
  await system.client.workflow.getHandle(body.execution_id).result();
  assert.equal((await system.post(`/api/v1/executions/${body.execution_id}/webhook/redeliver`)).status, 202);
  await receiver.waitFor(2);
  assert.deepEqual((await system.end(body.execution_id)).result, input);

  const grows = await system.post('/api/v1/execute/async/echo.x', `{"input":{"a":[${'1e20,'.repeat(200_000)}1]}}`);
  assert.equal(grows.status, 413, 'four characters that become twenty-one');
});

test('a sync call that no worker has seen in its time is 202, and ends as timeout when one comes', async (t) => {
  const agent = await obedientAgent(t);
  const limits = { syncLimitMs: 60_000 };
  const system = await startSystem(t, { agentNodes: { a: agent.url }, limits, withWorker: false });
  const { status, headers, body } = await system.post('/api/v1/execute/a.x', { timeout_ms: 500 });
  assert.equal(status, 202, 'nothing is told that is not in the history');
  assert.equal(headers.get('Location'), `/api/v1/executions/${body.execution_id}`);
  assert.equal(body.status, 'queued');
  await system.startWorker();
  const view = await system.end(body.execution_id);
  assert.deepEqual([view.status, view.error_details], ['timeout', 'Execution exceeded 0.5 second limit']);
  assert.equal(agent.received.filter(isCallOf(body.execution_id)).length, 0, 'it is told, and not called');
});
