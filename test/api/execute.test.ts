import assert from 'node:assert/strict';
import { test } from 'node:test';
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
