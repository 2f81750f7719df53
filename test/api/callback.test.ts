import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readCallback } from '../../api/agent-callback.ts';
import { acceptingAgent, isCallOf } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
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

async function submit(body: unknown = { input: {} }): Promise<string> {
  const answer = await system.post('/api/v1/execute/async/slow.work', body);
  assert.equal(answer.status, 202, answer.text);
  return answer.body.execution_id as string;
}

test('an agent that answered 202 ends its execution by callback, and is called once', async () => {
  const id = await submit();
  const { status } = await agent.report(id, { status: 'succeeded', result: { done: true } });
  assert.equal(status, 200);
  const view = await system.end(id);
  assert.equal(view.status, 'succeeded');
  assert.deepEqual(view.result, { done: true });
  assert.equal(agent.received.filter(isCallOf(id)).length, 1);
});

for (const result of [[1, 2], 'text', 7, false, null, {}, { result: { nested: [] } }]) {
  test(`a result may be any JSON: ${JSON.stringify(result)}`, async () => {
    const id = await submit();
    await agent.report(id, { status: 'completed', result });
    assert.deepEqual((await system.end(id)).result, result);
  });
}

for (const [alias, status] of Object.entries({
  ' Success ': 'succeeded',
  successful: 'succeeded',
  completed: 'succeeded',
  complete: 'succeeded',
  done: 'succeeded',
  ok: 'succeeded',
  error: 'failed',
  failure: 'failed',
  errored: 'failed',
  canceled: 'cancelled',
  cancel: 'cancelled',
  timed_out: 'timeout',
})) {
  test(`"${alias}" means ${status}`, async () => {
    const id = await submit();
    const { status: http } = await agent.report(id, { status: alias, error: 'why' });
    assert.equal(http, 200);
    const view = await system.end(id);
    assert.equal(view.status, status);
    if (status !== 'succeeded') assert.equal(view.error, 'why');
  });
}

test('progress shows in polls, aliases included, and AgentField extra fields are ignored', async () => {
  const id = await submit();
  const { status } = await agent.report(id, {
    status: 'in_progress',
    progress: 40,
    current_action: 'reading',
    estimated_completion: '2030-01-01T00:00:00+00:00',
    reasoner_name: 'work',
    usage: { tokens: 3 },
  });
  assert.equal(status, 200);
  const { body } = await system.get(`/api/v1/executions/${id}`);
  assert.equal(body.progress_pct, 40);
  assert.equal(body.current_action, 'reading');
  assert.equal(body.estimated_completion, '2030-01-01T00:00:00+00:00');

  await agent.report(id, { status: 'awaiting_human' });
  assert.equal((await system.get(`/api/v1/executions/${id}`)).body.status, 'waiting');
  await agent.report(id, { status: 'done', result: 1 });
  const view = await system.end(id);
  assert.equal(view.progress_pct, 40, 'what was known stays known');
});

test('the same word again is 200 and changes nothing; another word is 409', async () => {
  const id = await submit();
  await agent.report(id, { status: 'succeeded', result: { n: 1 } });
  const ended = await system.end(id);
  assert.equal((await agent.report(id, { status: 'success', result: { n: 1 } })).status, 200);
  assert.equal((await agent.report(id, { status: 'succeeded', result: { n: 2 } })).status, 409);
  const conflict = await agent.report(id, { status: 'failed', error: 'late' });
  assert.equal(conflict.status, 409);
  assert.equal(conflict.body.code, 'conflicting_callback');
  assert.equal((await agent.report(id, { status: 'running', progress: 5 })).status, 409);
  assert.deepEqual(await system.end(id), ended);
});

test('of a hundred racing callbacks exactly one decides, and each gets the answer that fits', async () => {
  const id = await submit();
  await agent.callbackUrl(id);
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, i) =>
      agent.report(id, i % 2 ? { status: 'succeeded', result: 'yes' } : { status: 'failed', error: 'no' }),
    ),
  );
  const view = await system.end(id);
  const fits = (i: number) => (i % 2 ? 'succeeded' : 'failed') === view.status;
  for (const [i, { status }] of answers.entries()) assert.equal(status, fits(i) ? 200 : 409);
});

test('a callback that overtakes the acknowledgement counts, and the agent is not called again', async (t) => {
  const { httpServer } = await import('../support/http-server.ts');
  const eager = await httpServer(t, async (request, response) => {
    const url = String(request.headers['perdure-callback-url']);
    const told = await fetch(url, { method: 'POST', body: JSON.stringify({ status: 'succeeded', result: 'early' }) });
    assert.equal(told.status, 200);
    response.writeHead(202).end();
  });
  const own = await startSystem(t, { agentNodes: { eager: eager.url } });
  const answer = await own.post('/api/v1/execute/eager.work', {});
  assert.equal(answer.status, 200);
  assert.equal(answer.body.result, 'early');
  assert.equal(eager.received.length, 1);
});

test('an unknown execution is 404, an unknown status 400', async () => {
  const unknown = await system.post('/api/v1/executions/exec_00000000000000000000000000000000/status', {
    status: 'succeeded',
  });
  assert.equal(unknown.status, 404);
  const id = await submit();
  const odd = await agent.report(id, { status: 'splendid' });
  assert.equal(odd.status, 400);
  assert.equal(odd.body.error, 'unsupported status');
  await agent.report(id, { status: 'ok' });
});

test('a result over the limit ends the execution as failed and says so', async () => {
  const tooLong = await submit();
  const { status, body } = await agent.report(tooLong, { status: 'succeeded', result: 'x'.repeat(1_200_000) });
  assert.equal(status, 413);
  assert.equal(body.code, 'result_too_large');
  const view = await system.end(tooLong);
  assert.equal(view.status, 'failed');
  assert.match(view.error, /larger than the limit of 1048576 bytes/);
});

test('a silent agent ends at timeout_ms as timeout, and is told', async () => {
  const id = await submit({ timeout_ms: 2_000 });
  const view = await system.end(id);
  assert.equal(view.status, 'timeout');
  assert.equal(view.error, 'Agent timeout');
  assert.equal(view.error_details, 'Execution exceeded 2 second limit');
  await agent.waitFor(1, (request) => request.path === `/_internal/executions/${id}/cancel`);
  assert.equal((await agent.report(id, { status: 'succeeded', result: 'late' })).status, 409);
});

test('a failing agent passes its 4xx on to a sync caller, and anything else as 502', async () => {
  const sync = system.post('/api/v1/execute/slow.work', {}, { 'X-Run-ID': 'run_4xx' });
  const [call] = await agent.waitFor(1, (request) => request.headers['x-run-id'] === 'run_4xx');
  const id = String(call?.headers['x-execution-id']);
  await agent.report(id, {
    status: 'failed',
    error: 'no such document',
    error_status_code: 404,
    error_details: { a: 1 },
  });
  const answer = await sync;
  assert.equal(answer.status, 404);
  assert.equal(answer.body.status, 'failed');
  assert.equal(answer.body.error, 'no such document');
  assert.deepEqual(answer.body.error_details, { a: 1 });
});

test('an error_status_code that is no status is not passed on', () => {
  const read = (error_status_code: unknown) => readCallback({ status: 'failed', error_status_code }, 1000);
  const endingOf = (meaning: ReturnType<typeof read>) => (meaning.kind === 'ending' ? meaning.ending : undefined);
  for (const code of [407.5, '404', 399, 500, Infinity, null])
    assert.ok(!('agentStatus' in (endingOf(read(code)) ?? {})));
  assert.deepEqual(endingOf(read(404)), {
    status: 'failed',
    error: 'agent reported failed',
    category: 'agent_error',
    agentStatus: 404,
  });
});
