import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { after, before, test } from 'node:test';
import { Client, Connection } from '@temporalio/client';
import { isCallOf } from '../support/agents.ts';
import { httpServer, sendJson, webhookReceiver } from '../support/http-server.ts';
import type { TestServer } from '../support/http-server.ts';
import { startServe } from '../support/processes.ts';
import { sharedContext } from '../support/shared.ts';
import { httpClient } from '../support/system.ts';
import { freePort, ROOT, startTemporal } from '../support/temporal.ts';
import type { Body } from '../support/system.ts';
import type { TemporalServer } from '../support/temporal.ts';

const shared = sharedContext();
let temporal: TemporalServer;
let direct: Client;
let agent: TestServer;
/** Calls are left unanswered, to be answered by the test or never. */
let isHanging = false;
let unanswered: ServerResponse[] = [];
let perdure: Awaited<ReturnType<typeof startServe>>;
before(async () => {
  temporal = await startTemporal();
  shared.after(() => temporal.stop());
  direct = new Client({ connection: Connection.lazy({ address: temporal.address }) });
  shared.after(() => direct.connection.close());
  agent = await httpServer(shared, (request, response) => {
    if (isHanging) unanswered.push(response);
    else sendJson(response, 200, { attempt: request.headers['perdure-attempt'] });
  });
  perdure = await startServe(shared, {
    address: temporal.address,
    agentNodes: { a: agent.url },
    env: { PERDURE_AGENT_PATIENCE_MS: '5000' },
  });
});
after(shared.close);

test('API and worker in one process: the first task comes with the answer to the start', async () => {
  const { status, body } = await perdure.post('/api/v1/execute/a.x', { input: { n: 1 } });
  assert.equal(status, 200);
  assert.deepEqual(body.result, { attempt: '1' });
  // Start and begin of the task are one write, its end the other: three where a worker has to poll for it.
  const { raw } = await direct.workflow.getHandle(body.execution_id).describe();
  assert.equal(Number(raw.workflowExecutionInfo?.stateTransitionCount), 2);
});

test('one process: a webhook, and an Idempotency-Key that was used before', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const submit = () =>
    perdure.post(
      '/api/v1/execute/async/a.x',
      { webhook: { url: receiver.url, secret: 's' } },
      { 'Idempotency-Key': 'serve-once' },
    );
  const first = await submit();
  const again = await submit();
  assert.equal(first.status, 202);
  assert.equal(again.status, 202);
  assert.equal(again.headers.get('Idempotency-Replayed'), 'true');
  assert.equal(again.body.execution_id, first.body.execution_id);
  const [delivery] = await receiver.waitFor(1);
  assert.equal((JSON.parse(delivery?.body ?? '') as Body).status, 'succeeded');
  assert.equal(agent.received.filter(isCallOf(first.body.execution_id)).length, 1);
});

test('one process, killed while its first task calls the agent: the call is made again, and its end is told', async () => {
  isHanging = true;
  const { body } = await perdure.post('/api/v1/execute/async/a.x');
  await agent.waitFor(1, isCallOf(body.execution_id));
  await perdure.process.kill();
  isHanging = false;
  await perdure.process.start();
  const view = await perdure.end(body.execution_id);
  assert.deepEqual(view.result, { attempt: '2' });
  assert.equal(agent.received.filter(isCallOf(body.execution_id)).length, 2);
});

test('one process, told to stop: who waits for a result gets it, and the process ends', async () => {
  isHanging = true;
  unanswered = [];
  const waiting = perdure.post('/api/v1/execute/a.x', {}, { 'X-Run-ID': 'run_stop' });
  await agent.waitFor(1, (request) => request.headers['x-run-id'] === 'run_stop');
  isHanging = false;
  const exitCode = perdure.process.stop();
  // It listens no more, and still the call goes on.
  while (await perdure.get('/health').catch(() => undefined));
  for (const response of unanswered) sendJson(response, 200, { answered: 'late' });
  const { status, body } = await waiting;
  assert.equal(status, 200);
  assert.deepEqual(body.result, { answered: 'late' });
  assert.equal(await exitCode, 0);
  await perdure.process.start();
});

test('one process while Temporal is away: 503 with Retry-After, and as before once it is back', async () => {
  await temporal.kill();
  const refused = await perdure.post('/api/v1/execute/async/a.x');
  assert.equal(refused.status, 503, refused.text);
  assert.equal(refused.body.code, 'temporal_unavailable');
  assert.ok(Number(refused.headers.get('Retry-After')) > 0);
  await temporal.restart();
  let answer = await perdure.post('/api/v1/execute/a.x');
  while (answer.status === 503) answer = await perdure.post('/api/v1/execute/a.x');
  assert.equal(answer.status, 200, answer.text);
});

test('npm run serve tells agents its own address, and is gone as soon as npm is told to stop', async (t) => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = { ...perdure.env, PORT: String(port), PERDURE_PUBLIC_URL: '', PERDURE_TASK_QUEUE: `test-${port}` };
  const npm = spawn('npm', ['run', '--silent', 'serve'], { cwd: ROOT, env, stdio: 'ignore', detached: true });
  t.after(() => endGroup(npm.pid));
  const { get, post } = httpClient(url);
  const isReady = () =>
    get('/ready').then(
      ({ status }) => status === 200,
      () => false,
    );
  while (!(await isReady())) assert.equal(npm.exitCode, null);
  assert.equal((await post('/api/v1/execute/a.x', {}, { 'X-Run-ID': 'run_npm' })).status, 200);
  const [call] = agent.received.filter((request) => request.headers['x-run-id'] === 'run_npm');
  assert.ok(String(call?.headers['perdure-callback-url']).startsWith(`${url}/`));
  const gone = once(npm, 'exit');
  npm.kill('SIGTERM');
  await gone;
  await assert.rejects(get('/health'), 'nobody listens any more');
});

test('one process, told to stop while Temporal is away: it ends in order all the same', async (t) => {
  const { process: own } = await startServe(t, {
    address: temporal.address,
    agentNodes: { a: agent.url },
    env: { PERDURE_SHUTDOWN_GRACE_MS: '0', PERDURE_LOG_LEVEL: 'silent' },
  });
  await temporal.kill();
  assert.equal(await own.stop(), 0);
  await temporal.restart();
});

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended, as it should.
  }
}
