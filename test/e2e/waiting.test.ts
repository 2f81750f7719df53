import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { httpServer, sendJson } from '../support/http-server.ts';
import type { TestServer } from '../support/http-server.ts';
import { startProcesses } from '../support/processes.ts';
import type { Processes } from '../support/processes.ts';
import { sharedContext } from '../support/shared.ts';
import type { Body } from '../support/system.ts';
import { startTemporal } from '../support/temporal.ts';
import type { TemporalServer } from '../support/temporal.ts';

const shared = sharedContext();
let temporal: TemporalServer;
let agent: TestServer;
let processes: Processes;
before(async () => {
  temporal = await startTemporal();
  shared.after(() => temporal.stop());
  agent = await httpServer(shared, (request, response) => {
    if (request.headers['perdure-turn'] !== undefined) {
      const { checkpoint, answer } = JSON.parse(request.body) as Body;
      return sendJson(response, 200, { went: 'on', checkpoint, answer });
    }
    response.setHeader('perdure-status', 'waiting');
    const threeDays = 3 * 24 * 3_600_000;
    sendJson(response, 200, {
      waiting: { kind: 'approval', text: 'Publish it?', expires_in_ms: threeDays, default: 'reject' },
      checkpoint: { draft: 3 },
    });
  });
  processes = await startProcesses(shared, { address: temporal.address, agentNodes: { writer: agent.url } });
});
after(shared.close);

test('an agent waits for days: everything is killed and started again, and it goes on with its checkpoint', async () => {
  const { body } = await processes.post('/api/v1/execute/async/writer.publish', {});
  const id = body.execution_id as string;
  const read = async (): Promise<Body> => (await processes.get(`/api/v1/executions/${id}?wait=5`)).body as Body;
  let view = await read();
  while (!view.waiting) view = await read();
  const leftMs = Date.parse(view.waiting.expires_at) - Date.now();
  assert.ok(leftMs > 2.9 * 24 * 3_600_000, 'it may take three days');
  await processes.worker.kill();
  await processes.api.kill();
  await temporal.kill();
  await temporal.restart();
  await processes.api.start();
  await processes.worker.start();
  view = (await processes.get(`/api/v1/executions/${id}`)).body as Body;
  assert.equal(view.status, 'waiting');
  assert.equal(view.waiting.text, 'Publish it?');
  assert.equal(agent.received.length, 1);
  const decided = await processes.post(`/api/v1/executions/${id}/approval`, { decision: 'approve', by: 'the editor' });
  assert.equal(decided.status, 200, decided.text);
  const end = await processes.end(id);
  assert.deepEqual(end.result, {
    went: 'on',
    checkpoint: { draft: 3 },
    answer: { decision: 'approve', by: 'the editor', is_default: false },
  });
  assert.equal(agent.received.length, 2);
});
