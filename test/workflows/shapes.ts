import type { TestContext } from 'node:test';
import { acceptingAgent, isCallOf } from '../support/agents.ts';
import { httpServer, sendJson, webhookReceiver } from '../support/http-server.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

/** One way an execution can go: how to make it happen, and what it costs in history events. */
export interface Shape {
  name: string;
  /** Unset where the count depends on what races. */
  events?: number;
  /** Makes one execution of this shape, to the close of its workflow, and gives its id. */
  run: (bench: ShapeBench) => Promise<string>;
}

export interface ShapeBench {
  system: System;
  accepting: Awaited<ReturnType<typeof acceptingAgent>>;
  receiverUrl: string;
  failingReceiverUrl: string;
}

export async function shapeBench(t: Pick<TestContext, 'after'>): Promise<ShapeBench> {
  const accepting = await acceptingAgent(t);
  const prompt = await httpServer(t, (request, response) => {
    const { status = 200, stream = false } = JSON.parse(request.body) as { status?: number; stream?: boolean };
    if (!stream) return sendJson(response, status, { done: true });
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.end('{"type":"progress","progress_pct":50}\n{"type":"result","result":{"done":true}}\n');
  });
  const receiver = await webhookReceiver(t, 204);
  const failing = await webhookReceiver(t, 500, 204);
  const system = await startSystem(t, { agentNodes: { prompt: prompt.url, accepting: accepting.url } });
  return { system, accepting, receiverUrl: receiver.url, failingReceiverUrl: failing.url };
}

/** Waits for the workflow itself, which outlives the outcome while a webhook is delivered. */
async function closed(system: System, id: string): Promise<string> {
  await system.client.workflow
    .getHandle(id)
    .result()
    .catch(() => undefined);
  return id;
}

async function start(system: System, target: string, body: unknown): Promise<string> {
  return (await system.post(`/api/v1/execute/async/${target}`, body)).body.execution_id as string;
}

export const SHAPES: Shape[] = [
  {
    name: 'sync',
    events: 11,
    run: async ({ system }) => {
      const { body } = await system.post('/api/v1/execute/prompt.x', { input: { a: 1 } });
      return closed(system, body.execution_id as string);
    },
  },
  {
    name: 'async-webhook',
    events: 17,
    run: async ({ system, receiverUrl }) =>
      closed(system, await start(system, 'prompt.x', { webhook: { url: receiverUrl, secret: 's' } })),
  },
  {
    name: 'callback-webhook',
    events: 21,
    run: async ({ system, accepting, receiverUrl }) => {
      const id = await start(system, 'accepting.x', { webhook: { url: receiverUrl, secret: 's' } });
      await acknowledged(system, id);
      await accepting.report(id, { status: 'succeeded', result: { done: true } });
      return closed(system, id);
    },
  },
  {
    name: 'stream',
    run: async ({ system }) => closed(system, await start(system, 'prompt.x', { input: { stream: true } })),
  },
  {
    name: 'agent-failed',
    events: 11,
    run: async ({ system }) => closed(system, await start(system, 'prompt.x', { input: { status: 422 } })),
  },
  {
    name: 'webhook-retried',
    run: async ({ system, failingReceiverUrl }) =>
      closed(system, await start(system, 'prompt.x', { webhook: { url: failingReceiverUrl } })),
  },
  {
    name: 'timeout',
    run: async ({ system, receiverUrl }) =>
      closed(system, await start(system, 'accepting.x', { timeout_ms: 500, webhook: { url: receiverUrl } })),
  },
  {
    name: 'cancelled',
    run: async ({ system, accepting, receiverUrl }) => {
      const id = await start(system, 'accepting.x', { webhook: { url: receiverUrl } });
      await accepting.waitFor(1, isCallOf(id));
      await system.post(`/api/v1/executions/${id}/cancel`, { reason: 'shape' });
      return closed(system, id);
    },
  },
  {
    name: 'redelivered',
    run: async ({ system, receiverUrl }) => {
      const id = await closed(system, await start(system, 'prompt.x', { webhook: { url: receiverUrl } }));
      await system.post(`/api/v1/executions/${id}/webhook/redeliver`);
      return closed(system, id);
    },
  },
];

/** Until the workflow knows that the agent answered 202: the common order of events, and the one that is counted. */
async function acknowledged(system: System, id: string): Promise<void> {
  for (;;) {
    const { events } = await system.client.workflow.getHandle(id).fetchHistory();
    const last = events?.at(-1);
    if (last?.workflowTaskCompletedEventAttributes && (events?.length ?? 0) > 8) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
