import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NativeConnection, Worker } from '@temporalio/worker';
import { createHeldCalls } from '../../activities/held-calls.ts';
import { createActivities, createAgentHttp, createWebhookHttp } from '../../activities/index.ts';
import { agentTaskQueue } from '../../workflows/contract.ts';
import { acceptingAgent, isCallOf } from '../support/agents.ts';
import { httpServer } from '../support/http-server.ts';
import { startSystem } from '../support/system.ts';

const ANSWER_LATER_S = 3;

test('a retry that is quicker than the workflow does not call an agent whose callback is recorded', async (t) => {
  const agent = await httpServer(t, (_request, response) => {
    response.writeHead(503, { 'retry-after': String(ANSWER_LATER_S) }).end();
  });
  const system = await startSystem(t, { agentNodes: { a: agent.url } });
  const { body } = await system.post('/api/v1/execute/async/a.x');
  const id = String(body.execution_id);
  await agent.waitFor(2, isCallOf(id));
  // The pause before the third call is the server's. No worker for the workflow from here on.
  await system.stopWorker();
  const told = await system.post(body.links.status, { status: 'succeeded', result: 'by callback' });
  assert.equal(told.status, 200, told.text);

  const { address } = system.config.temporal.connectionOptions;
  const connection = await NativeConnection.connect({ address: String(address) });
  const agentHttp = createAgentHttp();
  const webhookHttp = createWebhookHttp();
  const { agentNodes, sealer, maxResultBytes } = system.config;
  const { callAgent } = createActivities({
    agentNodes,
    sealer,
    maxResultBytes,
    agentHttp,
    webhookHttp,
    publicUrl: system.url,
    held: createHeldCalls(1),
    ownTaskQueue: 'unused',
  });
  const worker = await Worker.create({
    connection,
    taskQueue: agentTaskQueue(system.taskQueue),
    activities: { callAgent },
  });
  await worker.runUntil(async () => {
    const handle = system.client.workflow.getHandle(id);
    while ((await handle.describe()).raw.pendingActivities?.length)
      await new Promise((resolve) => setTimeout(resolve, 50));
  });
  await connection.close();
  await Promise.all([agentHttp.destroy(), webhookHttp.destroy()]);
  assert.equal(agent.received.filter(isCallOf(id)).length, 2);

  await system.startWorker();
  assert.equal((await system.end(id)).result, 'by callback');
});

test('callbacks that Temporal keeps back behind an open task are not told yes: two that differ could both be', async (t) => {
  const agent = await acceptingAgent(t);
  const system = await startSystem(t, {
    agentNodes: { a: agent.url },
    withWorker: false,
    policy: { agent: { heartbeatTimeoutMs: 60_000 } },
  });
  const { body } = await system.post('/api/v1/execute/async/a.x');
  // A worker that takes the task and dies.
  const task = await system.client.withDeadline(Date.now() + 30_000, () =>
    system.client.workflowService.pollWorkflowTaskQueue({
      namespace: 'default',
      taskQueue: { name: system.taskQueue },
      identity: 'a worker that dies',
    }),
  );
  assert.ok(task.taskToken.length > 0);
  const answers = await Promise.all(
    ['one', 'other'].map((result) => system.post(body.links.status, { status: 'succeeded', result })),
  );
  for (const { status, headers, text } of answers) {
    assert.equal(status, 503, text);
    assert.ok(Number(headers.get('Retry-After')) > 0);
  }
  await system.client.workflow.getHandle(String(body.execution_id)).terminate();
});
