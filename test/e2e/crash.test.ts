import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client, Connection } from '@temporalio/client';
import { createProjection } from '../../api/projection.ts';
import { acceptingAgent, isCallOf, isCancelOf } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer, sendJson, webhookReceiver } from '../support/http-server.ts';
import type { Received, TestServer } from '../support/http-server.ts';
import { startProcesses } from '../support/processes.ts';
import type { Processes } from '../support/processes.ts';
import { sharedContext } from '../support/shared.ts';
import { startTemporal } from '../support/temporal.ts';
import type { TemporalServer } from '../support/temporal.ts';

const shared = sharedContext();
let temporal: TemporalServer;
let direct: Connection;
let processes: Processes;
let accepting: AcceptingAgent;
let hanging: TestServer;
/** Lets calls that came so far go unanswered, and answers later ones. */
let isHanging = true;
before(async () => {
  temporal = await startTemporal();
  shared.after(() => temporal.stop());
  direct = Connection.lazy({ address: temporal.address });
  shared.after(() => direct.close());
  accepting = await acceptingAgent(shared);
  hanging = await httpServer(shared, (request, response) => {
    if (!isHanging) sendJson(response, 200, { attempt: request.headers['perdure-attempt'] });
  });
  processes = await startProcesses(shared, {
    address: temporal.address,
    agentNodes: { accepting: accepting.url, hanging: hanging.url },
  });
});
after(shared.close);

const submit = async (target: string, body: unknown = {}): Promise<string> => {
  const answer = await processes.post(`/api/v1/execute/async/${target}`, body);
  assert.equal(answer.status, 202, answer.text);
  return answer.body.execution_id as string;
};
const calls = (agent: TestServer, id: string): Received[] => agent.received.filter(isCallOf(id));
const payloadOf = (delivery: Received | undefined) => JSON.parse(delivery?.body ?? '{}') as Record<string, unknown>;

test('the worker is killed while a 202 agent works: it was called exactly once, and the result arrives', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const id = await submit('accepting.work', { webhook: { url: receiver.url, secret: 's' } });
  // From here on the acknowledgement is in history.
  assert.equal((await processes.running(id)).lane, 'local');
  await processes.worker.kill();
  const { status } = await accepting.report(id, { status: 'succeeded', result: 'survived' });
  assert.equal(status, 200, 'a callback is taken while no worker runs');
  await processes.worker.start();
  const view = await processes.end(id);
  assert.equal(view.result, 'survived');
  const [delivery] = await receiver.waitFor(1);
  assert.equal(payloadOf(delivery).event, 'execution.completed');
  assert.equal(calls(accepting, id).length, 1);
});

test('the worker is killed within the task that calls a sync agent: it is called again under the same id', async (t) => {
  const env = { PERDURE_AGENT_PATIENCE_MS: '5000' };
  const own = await startProcesses(t, { address: temporal.address, agentNodes: { hanging: hanging.url }, env });
  isHanging = true;
  const { body } = await own.post('/api/v1/execute/async/hanging.work');
  await hanging.waitFor(1, isCallOf(body.execution_id));
  assert.equal((await own.get(body.links.self)).body.lane, null, 'history does not know of the call yet');
  await own.worker.kill();
  isHanging = false;
  await own.worker.start();
  const view = await own.end(body.execution_id);
  assert.equal(view.status, 'succeeded');
  assert.equal(view.lane, 'activity');
  assert.deepEqual(
    calls(hanging, body.execution_id).map((call) => call.headers['perdure-attempt']),
    ['1', '2'],
  );
});

test('the worker is killed within the task that calls the agent, then it is cancelled: the agent is told', async (t) => {
  const env = { PERDURE_AGENT_PATIENCE_MS: '5000' };
  const own = await startProcesses(t, { address: temporal.address, agentNodes: { hanging: hanging.url }, env });
  isHanging = true;
  const { body } = await own.post('/api/v1/execute/async/hanging.work');
  await hanging.waitFor(1, isCallOf(body.execution_id));
  await own.worker.kill();
  isHanging = false;
  assert.equal((await own.post(body.links.cancel)).status, 202);
  await own.worker.start();
  assert.equal((await own.end(body.execution_id)).status, 'cancelled');
  await hanging.waitFor(1, isCancelOf(body.execution_id));
  assert.equal(calls(hanging, body.execution_id).length, 1);
});

test('the worker is killed while a sync agent works: it is called again under the same id', async () => {
  isHanging = true;
  const id = await submit('hanging.work');
  assert.equal((await processes.running(id)).lane, 'activity', 'the call was handed over');
  await processes.worker.kill();
  isHanging = false;
  await processes.worker.start();
  const view = await processes.end(id);
  assert.equal(view.status, 'succeeded');
  assert.deepEqual(
    calls(hanging, id).map((call) => call.headers['perdure-attempt']),
    ['1', '2'],
  );
});

test('paused, then the worker is killed: the agent is called again only after the resume', async () => {
  isHanging = true;
  const id = await submit('hanging.work');
  await hanging.waitFor(1, isCallOf(id));
  const path = `/api/v1/executions/${id}`;
  assert.equal((await processes.post(`${path}/pause`, {})).status, 200);
  await processes.worker.kill();
  await processes.worker.start();
  // Once the dead worker is given up the call is handed back.
  const handle = new Client({ connection: direct }).workflow.getHandle(id);
  const isDone = async () => {
    const { raw, historyLength } = await handle.describe();
    return historyLength > 12 && (raw.pendingActivities ?? []).length === 0;
  };
  while (!(await isDone())) await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(calls(hanging, id).length, 1);
  isHanging = false;
  await processes.post(`${path}/resume`, {});
  assert.deepEqual((await processes.end(id)).result, { attempt: '2' });
});

test('a worker that is stopped in order keeps the call it has just begun: the agent is called once', async (t) => {
  const slow = await httpServer(t, (_request, response) => {
    setTimeout(() => sendJson(response, 200, { kept: true }), 1_500);
  });
  const own = await startProcesses(t, { address: temporal.address, agentNodes: { slow: slow.url } });
  const { body } = await own.post('/api/v1/execute/async/slow.work');
  await slow.waitFor(1, isCallOf(body.execution_id));
  process.kill(own.worker.pid(), 'SIGTERM');
  await own.worker.start();
  assert.deepEqual((await own.end(body.execution_id)).result, { kept: true });
  assert.equal(calls(slow, body.execution_id).length, 1);
});

test('the time limit passes while no worker runs: a timeout, whatever was to come next', async (t) => {
  const own = await startProcesses(t, { address: temporal.address, agentNodes: { hanging: hanging.url } });
  isHanging = true;
  const limitMs = 4_000;
  const { body } = await own.post('/api/v1/execute/async/hanging.work', { timeout_ms: limitMs });
  const id = String(body.execution_id);
  await own.running(id);
  await own.worker.kill();
  while (Date.now() < Date.parse(body.created_at) + limitMs) await pause();
  await own.worker.start();
  const view = await own.end(id);
  assert.equal(view.status, 'timeout');
  assert.equal(view.error_details, 'Execution exceeded 4 second limit');
  isHanging = false;
});

test('the worker is killed in every attempt at a webhook: all of them are in the log', async (t) => {
  const env = { PERDURE_WEBHOOK_MAX_ATTEMPTS: '2', PERDURE_WEBHOOK_TIMEOUT_MS: '100' };
  const receiver = await httpServer(t, () => undefined);
  const own = await startProcesses(t, { address: temporal.address, agentNodes: { accepting: accepting.url }, env });
  const { body } = await own.post('/api/v1/execute/async/accepting.work', {
    webhook: { url: receiver.url, secret: 's' },
  });
  const id = String(body.execution_id);
  await accepting.waitFor(1, isCallOf(id));
  assert.equal((await accepting.report(id, { status: 'succeeded', result: 1 })).status, 200);
  for (const attempt of [1, 2]) {
    await receiver.waitFor(attempt);
    await own.worker.kill();
    await own.worker.start();
  }
  let view = await own.end(id);
  while (view.webhook_events.length === 0) view = await own.get(body.links.self).then((answer) => answer.body);
  assert.deepEqual(
    view.webhook_events.map(({ attempt, error }: { attempt: number; error: string }) => [attempt, error.split(':')[0]]),
    [
      [1, 'interrupted'],
      [2, 'interrupted'],
    ],
  );
});

test('the API is killed during a sync wait: the execution goes on, and the same key finds it', async () => {
  const headers = { 'Idempotency-Key': 'api-killed', 'X-Run-ID': 'run_api_killed' };
  const cut = processes.post('/api/v1/execute/accepting.work', { input: { n: 1 } }, headers).catch(() => 'cut');
  const [call] = await accepting.waitFor(1, (request) => request.headers['x-run-id'] === 'run_api_killed');
  const id = String(call?.headers['x-execution-id']);
  await processes.api.kill();
  assert.equal(await cut, 'cut');
  await processes.api.start();
  const again = processes.post('/api/v1/execute/accepting.work', { input: { n: 1 } }, headers);
  assert.equal((await accepting.report(id, { status: 'succeeded', result: 'found' })).status, 200);
  const answer = await again;
  assert.equal(answer.status, 200);
  assert.equal(answer.body.execution_id, id);
  assert.equal(answer.body.result, 'found');
  assert.equal(answer.headers.get('Idempotency-Replayed'), 'true');
  assert.equal(calls(accepting, id).length, 1);
});

test('Temporal is killed with 50 in flight: each ends once, each webhook arrives, none before its outcome', async (t) => {
  const early: string[] = [];
  const receiver = await httpServer(t, async (request, response) => {
    const { execution_id: id } = payloadOf(request);
    // A strong read, past all that the API keeps. While Temporal is down nothing can be read.
    const outcome = await outcomeInHistory(String(id)).catch(() => 'unreadable');
    if (outcome === undefined) early.push(String(id));
    response.writeHead(204).end();
  });
  const ids: string[] = [];
  for (let i = 0; i < 50; i++)
    ids.push(await submit('accepting.work', { input: { i }, webhook: { url: receiver.url, secret: 's' } }));
  await accepting.waitFor(50, (request) => ids.includes(String(request.headers['x-execution-id'])));
  await Promise.all(ids.slice(0, 10).map((id) => accepting.report(id, { status: 'succeeded', result: id })));

  await temporal.kill();
  const refused = await processes.post('/api/v1/execute/async/accepting.work', {});
  assert.equal(refused.status, 503);
  assert.ok(Number(refused.headers.get('Retry-After')) > 0);
  assert.equal(refused.body.code, 'temporal_unavailable');
  const late = ids[10] ?? '';
  assert.equal((await accepting.report(late, { status: 'succeeded', result: late })).status, 503, 'never a false yes');
  await temporal.restart();

  for (const id of ids.slice(10)) await reportUntilTaken(id);
  const views = await Promise.all(ids.map((id) => processes.end(id)));
  for (const [i, view] of views.entries()) {
    assert.equal(view.status, 'succeeded');
    assert.equal(view.result, ids[i]);
  }
  // Not the first fifty: one whose answer the server's death cut off is sent again, with the same webhook-id.
  for (const id of ids) await receiver.waitFor(1, (delivery) => payloadOf(delivery).execution_id === id);
  const told = new Map<string, Set<string>>();
  for (const delivery of receiver.received) {
    const { execution_id: id, status, event } = payloadOf(delivery);
    told.set(String(id), (told.get(String(id)) ?? new Set()).add(`${String(event)} ${String(status)}`));
  }
  assert.deepEqual([...told.keys()].toSorted(), ids.toSorted());
  for (const outcomes of told.values()) assert.deepEqual([...outcomes], ['execution.completed succeeded']);
  assert.deepEqual(early, []);
  // A worker that dies is the only thing that may cause a second call; the server's death is not.
  for (const id of ids) assert.equal(calls(accepting, id).length, 1);
});

test('an execution of 12 seconds gets exactly one webhook: execution.completed', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const slow = await httpServer(t, (_request, response) => {
    setTimeout(() => sendJson(response, 200, { took: 12 }), 12_000);
  });
  const own = await startProcesses(t, { address: temporal.address, agentNodes: { slow: slow.url } });
  const answer = await own.post('/api/v1/execute/async/slow.work', { webhook: { url: receiver.url, secret: 's' } });
  const view = await own.end(answer.body.execution_id);
  assert.equal(view.status, 'succeeded');
  assert.ok(view.duration_ms >= 12_000);
  // A second one would come within the time of a first retry.
  await receiver.waitFor(1);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  assert.equal(receiver.received.length, 1);
  assert.equal(payloadOf(receiver.received[0]).event, 'execution.completed');
  assert.equal(slow.received.length, 1);
});

const pause = () => new Promise((resolve) => setTimeout(resolve, 100));

/** As an SDK does it: again and again, until it is taken or known. */
async function reportUntilTaken(id: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const { status } = await accepting.report(id, { status: 'succeeded', result: id });
    if (status === 200) return;
    assert.equal(status, 503);
    await pause();
  }
  assert.fail(`${id} was not taken`);
}

async function outcomeInHistory(id: string): Promise<unknown> {
  const projection = createProjection(id, undefined);
  for (const event of await historyOf(id)) await projection.fold(event);
  return projection.state()?.outcome;
}

async function historyOf(id: string) {
  const { history } = await direct.withDeadline(Date.now() + 2_000, () =>
    direct.workflowService.getWorkflowExecutionHistory({ namespace: 'default', execution: { workflowId: id } }),
  );
  return history?.events ?? [];
}
