import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCallAgent } from '../../activities/call-agent.ts';
import { createHeldCalls } from '../../activities/held-calls.ts';
import { createAgentHttp } from '../../activities/index.ts';
import { parseAgentNodes } from '../../common/agent-nodes.ts';
import { httpServer, sendJson } from '../support/http-server.ts';

test('a worker that comes to after its task has been given to another does not call the agent', async (t) => {
  const agent = await httpServer(t, (_request, response) => sendJson(response, 200, {}));
  const http = createAgentHttp();
  t.after(() => http.destroy());
  const { beginAgentCall } = createCallAgent({
    agentNodes: parseAgentNodes([{ from: 'test', text: JSON.stringify({ a: agent.url }) }]),
    http,
    publicUrl: 'http://127.0.0.1:1',
    maxResultBytes: 1024,
    held: createHeldCalls(10),
    ownTaskQueue: 'own',
  });
  const call = {
    executionId: 'exec_1',
    runId: 'run_1',
    target: { node: 'a', name: 'x', type: 'reasoner' as const },
    input: {},
    patienceMs: 100,
    isDoneOver: false,
  };
  const taskEndsAt = new Date(Date.now() - 1_000).toISOString();
  assert.deepEqual(await beginAgentCall({ ...call, taskEndsAt }), { kind: 'declined', mayHaveBeenMade: false });
  // The next one reaches the agent, so the one before would have come in by now; there is no Temporal to go on with.
  const inTime = new Date(Date.now() + 60_000).toISOString();
  await assert.rejects(beginAgentCall({ ...call, executionId: 'exec_2', taskEndsAt: inTime }));
  await agent.waitFor(1);
  assert.deepEqual(
    agent.received.map(({ headers }) => headers['x-execution-id']),
    ['exec_2'],
  );
});
