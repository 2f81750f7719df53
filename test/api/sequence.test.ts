import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceptingAgent } from '../support/agents.ts';
import { webhookReceiver } from '../support/http-server.ts';
import { startSystem } from '../support/system.ts';

test("a webhook's sequence is the number its outcome has in the log, whatever races with it", async (t) => {
  const agent = await acceptingAgent(t);
  const receiver = await webhookReceiver(t, 204);
  const system = await startSystem(t, { agentNodes: { a: agent.url } });

  const race = async (i: number) => {
    const { body } = await system.post('/api/v1/execute/async/a.x', { webhook: { url: receiver.url } });
    const id = body.execution_id as string;
    await agent.callbackUrl(id);
    const reports = Array.from({ length: 12 }, (_, n) => agent.report(id, { status: 'running', progress: n }));
    if (i % 2) await Promise.race(reports);
    const last =
      i % 3 === 0
        ? system.post(`/api/v1/executions/${id}/cancel`, { reason: 'race' })
        : agent.report(id, { status: 'succeeded', result: i });
    await Promise.all([...reports, last]);
    const [delivery] = await receiver.waitFor(1, (request) => request.body.includes(id));
    await system.client.workflow
      .getHandle(id)
      .result()
      .catch(() => undefined);
    const told = JSON.parse(delivery?.body ?? '{}') as { sequence: number; status: string; completed_at: string };
    // A read after the watcher of the race has gone.
    let view = await system.end(id);
    while (view.webhook_events.length === 0) view = await system.end(id);
    assert.equal(view.sequence, told.sequence + 1, 'the outcome, then one attempt');
    assert.equal(view.status, told.status);
    assert.equal(view.completed_at, told.completed_at);
    const asked = await system.get(`/api/v1/executions/${id}`, { 'Cache-Control': 'no-cache' });
    assert.deepEqual(asked.body, view);
  };
  await Promise.all(Array.from({ length: 24 }, (_, i) => race(i)));
});
