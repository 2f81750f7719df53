import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { httpServer } from '../support/http-server.ts';
import { startSystem } from '../support/system.ts';

/** An agent that streams what the test writes; each call brings the stream of that call. */
async function streamingAgent(t: TestContext, contentType: string) {
  const streams: ServerResponse[] = [];
  const waiting: ((stream: ServerResponse) => void)[] = [];
  const agent = await httpServer(t, (_request, response) => {
    response.writeHead(200, { 'content-type': contentType });
    response.flushHeaders();
    const next = waiting.shift();
    if (next) next(response);
    else streams.push(response);
  });
  const nextStream = (): Promise<ServerResponse> => {
    const ready = streams.shift();
    return ready ? Promise.resolve(ready) : new Promise((resolve) => waiting.push(resolve));
  };
  return { agent, nextStream };
}

const frame = (value: unknown) => `${JSON.stringify(value)}\n`;

test('progress streamed as NDJSON shows while the agent works, and the result frame ends it', async (t) => {
  const { agent, nextStream } = await streamingAgent(t, 'application/x-ndjson; charset=utf-8');
  const system = await startSystem(t, { agentNodes: { s: agent.url } });
  const { body } = await system.post('/api/v1/execute/async/s.work', {});
  const stream = await nextStream();
  stream.write(frame({ type: 'progress', current_action: 'reading', progress_pct: 10 }));
  let { body: view } = await system.get(`/api/v1/executions/${body.execution_id}`);
  while (view.current_action === null)
    ({ body: view } = await system.get(`/api/v1/executions/${body.execution_id}?wait=20`));
  assert.equal(view.current_action, 'reading');
  assert.equal(view.progress_pct, 10);
  assert.equal(view.status, 'running');

  stream.write('{"type":"step","kind":"tool_call","name":"search",'); // a frame may come in pieces
  stream.write('"data":{"q":"é"}}\n\nnot json\n{"type":"progress","progress_pct":90}\n');
  stream.end(frame({ type: 'result', result: ['found'] }));
  const last = await system.end(body.execution_id);
  assert.deepEqual(last.result, ['found']);
  assert.equal(last.progress_pct, 90);
  assert.equal(last.current_action, 'reading');
});

test('the same frames work as server-sent events', async (t) => {
  const { agent, nextStream } = await streamingAgent(t, 'text/event-stream');
  const system = await startSystem(t, { agentNodes: { s: agent.url } });
  const { body } = await system.post('/api/v1/execute/async/s.work', {});
  const stream = await nextStream();
  stream.write(': hello\n\nevent: progress\ndata: {"progress_pct": 50}\n\n');
  stream.end('event: result\ndata: {"result": {"a": 1}}\n\n');
  const last = await system.end(body.execution_id);
  assert.deepEqual(last.result, { a: 1 });
  assert.equal(last.progress_pct, 50);
});

test("SSE's own default name of an event is no name: the frame's type counts", async (t) => {
  const { agent, nextStream } = await streamingAgent(t, 'text/event-stream');
  const system = await startSystem(t, { agentNodes: { s: agent.url }, policy: { agent: { maximumAttempts: 1 } } });
  const { body } = await system.post('/api/v1/execute/async/s.work', {});
  (await nextStream()).end('event: message\ndata: {"type":"result","result":7}\n\n');
  assert.equal((await system.end(body.execution_id)).result, 7);
});

test('an error frame fails the execution, without a retry unless the agent says so', async (t) => {
  const { agent, nextStream } = await streamingAgent(t, 'application/x-ndjson');
  const system = await startSystem(t, { agentNodes: { s: agent.url } });
  const { body } = await system.post('/api/v1/execute/async/s.work', {});
  (await nextStream()).end(frame({ type: 'error', error: 'out of ideas', error_details: { tried: 3 } }));
  const last = await system.end(body.execution_id);
  assert.equal(last.status, 'failed');
  assert.equal(last.error, 'out of ideas');
  assert.deepEqual(last.error_details, { tried: 3 });
  assert.equal(agent.received.length, 1);

  const again = await system.post('/api/v1/execute/async/s.work', {});
  (await nextStream()).end(frame({ type: 'error', error: 'busy', retryable: true }));
  (await nextStream()).end(frame({ type: 'result', result: 'second try' }));
  assert.equal((await system.end(again.body.execution_id)).result, 'second try');
});

test('a stream that ends or breaks without a result is a crashed agent: it is called again', async (t) => {
  const { agent, nextStream } = await streamingAgent(t, 'application/x-ndjson');
  const system = await startSystem(t, { agentNodes: { s: agent.url } });
  const { body } = await system.post('/api/v1/execute/async/s.work', {});
  (await nextStream()).end(frame({ type: 'progress', progress_pct: 5 }));
  const broken = await nextStream();
  broken.write(frame({ type: 'progress', progress_pct: 6 }));
  broken.destroy();
  (await nextStream()).end(frame({ type: 'result', result: 'third' }));
  assert.equal((await system.end(body.execution_id)).result, 'third');
  assert.deepEqual(
    agent.received.map((call) => call.headers['perdure-attempt']),
    ['1', '2', '3'],
  );
});

test('a thousand quick frames become few signals, and the last progress counts', async (t) => {
  const { agent, nextStream } = await streamingAgent(t, 'application/x-ndjson');
  const system = await startSystem(t, { agentNodes: { s: agent.url } });
  const { body } = await system.post('/api/v1/execute/async/s.work', {});
  const stream = await nextStream();
  for (let i = 0; i < 1000; i++) stream.write(frame({ type: 'progress', progress_pct: i / 10 }));
  stream.end(frame({ type: 'result', result: null }));
  const last = await system.end(body.execution_id);
  assert.equal(last.progress_pct, 99.9);
  const { historyLength } = await system.client.workflow.getHandle(body.execution_id).describe();
  assert.ok(historyLength < 40, `${historyLength} events`);
});
