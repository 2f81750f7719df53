import assert from 'node:assert/strict';
import { test } from 'node:test';
import { webhookAttemptSignal } from '../../workflows/contract.ts';
import { httpServer, sendJson } from '../support/http-server.ts';
import { startSystem } from '../support/system.ts';

test('a webhook is not sent again after a hundred attempts: each run carries the log of all before', async (t) => {
  const agent = await httpServer(t, (_request, response) => sendJson(response, 200, {}));
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const receiver = await httpServer(t, (_request, response) => released.then(() => void response.writeHead(410).end()));
  const system = await startSystem(t, {
    agentNodes: { a: agent.url },
    policy: { webhook: { attemptTimeoutMs: 60_000 } },
  });
  const { body } = await system.post('/api/v1/execute/async/a.x', { webhook: { url: receiver.url } });
  const id = String(body.execution_id);
  const workflow = system.client.workflow.getHandle(id);
  const redeliver = async () => {
    await workflow.result().catch(() => undefined);
    return system.post(`/api/v1/executions/${id}/webhook/redeliver`);
  };
  await receiver.waitFor(1);
  // As if 98 workers had died before: making a hundred real attempts takes a minute.
  const attempt = { attempt: 99, httpStatus: 500, error: 'receiver answered 500', timestamp: null, durationMs: null };
  await workflow.signal(webhookAttemptSignal, attempt);
  release();
  assert.equal((await redeliver()).status, 202, 'there are 99');
  const refused = await redeliver();
  assert.deepEqual([refused.status, refused.body.code, refused.body.execution_id], [409, 'too_many_deliveries', id]);
  assert.equal((await system.get(`/api/v1/executions/${id}`)).body.webhook_events.length, 100);
  assert.equal(receiver.received.length, 2);
});
