import type { TestContext } from 'node:test';
import { acceptingAgent, isCallOf, isCancelOf } from '../support/agents.ts';
import { httpServer, sendJson, webhookReceiver } from '../support/http-server.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

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
  /** The same with all calls of agents as activities. */
  impatient: System;
  /** The same with tasks that time out after a second. */
  hurried: System;
  /** The same with runs that are left early. */
  brief: System;
  accepting: Awaited<ReturnType<typeof acceptingAgent>>;
  receiverUrl: string;
  failingReceiverUrl: string;
}

interface Behaviour {
  status?: number;
  stream?: boolean;
  slow?: boolean;
  recovers?: boolean;
  asks?: boolean;
}

/** Longer than a busy machine takes for a prompt answer, and well within a workflow task. */
const PATIENCE_MS = 1_200;

export async function shapeBench(t: Pick<TestContext, 'after'>): Promise<ShapeBench> {
  const accepting = await acceptingAgent(t);
  const prompt = await httpServer(t, (request, response) => {
    const said = JSON.parse(request.body) as Behaviour;
    const { status = 200, stream = false, slow = false, recovers = false, asks = false } = said;
    if (asks) {
      response.setHeader('perdure-status', 'waiting');
      return sendJson(response, 200, { waiting: { kind: 'approval', text: 'go on?' }, checkpoint: 1 });
    }
    if (slow) return void setTimeout(() => sendJson(response, 200, { done: true }), 2 * PATIENCE_MS);
    if (recovers && request.headers['perdure-attempt'] === '1') return sendJson(response, 503, { done: false });
    if (!stream) return sendJson(response, status, { done: true });
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.end('{"type":"progress","progress_pct":50}\n{"type":"result","result":{"done":true}}\n');
  });
  const receiver = await webhookReceiver(t, 204);
  const failing = await webhookReceiver(t, 500, 204);
  const agentNodes = { prompt: prompt.url, accepting: accepting.url };
  const system = await startSystem(t, { agentNodes, policy: { agent: { patienceMs: PATIENCE_MS } } });
  const impatient = await startSystem(t, { agentNodes, policy: { agent: { patienceMs: undefined } } });
  const late = await httpServer(t, (_request, response) => {
    setTimeout(() => sendJson(response, 202, {}), 900);
  });
  const hurried = await startSystem(t, {
    agentNodes: { late: late.url },
    policy: { agent: { patienceMs: 990, heartbeatTimeoutMs: 1_000 } },
  });
  const brief = await startSystem(t, { agentNodes, policy: { maxRunEvents: 20 } });
  return { system, impatient, hurried, brief, accepting, receiverUrl: receiver.url, failingReceiverUrl: failing.url };
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
    name: 'activity-sync',
    events: 11,
    run: async ({ impatient }) => closed(impatient, await start(impatient, 'prompt.x', {})),
  },
  {
    name: 'handed-over',
    events: 12,
    run: async ({ system }) => closed(system, await start(system, 'prompt.slow', { input: { slow: true } })),
  },
  {
    // The call outlasts four fifths of the task's timeout: the SDK asks for more time, and the first task is two.
    name: 'long-task',
    run: async ({ hurried }) => {
      const id = await start(hurried, 'late.x', {});
      await hurried.running(id);
      await hurried.post(`/api/v1/executions/${id}/status`, { status: 'succeeded' });
      return closed(hurried, id);
    },
  },
  {
    name: 'retried',
    events: 17,
    run: async ({ system }) => closed(system, await start(system, 'prompt.recovers', { input: { recovers: true } })),
  },
  {
    name: 'local-sync',
    events: 6,
    run: async ({ system }) => {
      const { body } = await system.post('/api/v1/execute/prompt.x', { input: { a: 1 } });
      return closed(system, body.execution_id as string);
    },
  },
  {
    name: 'local-async-webhook',
    events: 12,
    run: async ({ system, receiverUrl }) =>
      closed(system, await start(system, 'prompt.x', { webhook: { url: receiverUrl, secret: 's' } })),
  },
  {
    name: 'local-callback-webhook',
    events: 16,
    run: async ({ system, accepting, receiverUrl }) => {
      const id = await start(system, 'accepting.x', { webhook: { url: receiverUrl, secret: 's' } });
      await acknowledged(system, id);
      await accepting.report(id, { status: 'succeeded', result: { done: true } });
      return closed(system, id);
    },
  },
  {
    name: 'local-stream',
    run: async ({ system }) => closed(system, await start(system, 'prompt.stream', { input: { stream: true } })),
  },
  {
    name: 'local-agent-failed',
    events: 6,
    run: async ({ system }) => closed(system, await start(system, 'prompt.x', { input: { status: 422 } })),
  },
  {
    name: 'local-webhook-retried',
    run: async ({ system, failingReceiverUrl }) =>
      closed(system, await start(system, 'prompt.x', { webhook: { url: failingReceiverUrl } })),
  },
  {
    name: 'local-timeout',
    run: async ({ system, receiverUrl }) =>
      closed(system, await start(system, 'accepting.x', { timeout_ms: 500, webhook: { url: receiverUrl } })),
  },
  {
    name: 'local-cancelled',
    run: async ({ system, accepting, receiverUrl }) => {
      const id = await start(system, 'accepting.x', { webhook: { url: receiverUrl } });
      await accepting.waitFor(1, isCallOf(id));
      await system.post(`/api/v1/executions/${id}/cancel`, { reason: 'shape' });
      return closed(system, id);
    },
  },
  {
    name: 'local-redelivered',
    run: async ({ system, receiverUrl }) => {
      const id = await closed(system, await start(system, 'prompt.x', { webhook: { url: receiverUrl } }));
      await system.post(`/api/v1/executions/${id}/webhook/redeliver`);
      return closed(system, id);
    },
  },
  {
    // A time limit costs a timer, where the agent does not answer at once.
    name: 'limited',
    events: 13,
    run: async ({ system }) =>
      closed(system, await start(system, 'prompt.slow', { input: { slow: true }, timeout_ms: 60_000 })),
  },
  {
    name: 'asked',
    run: async ({ system }) => {
      const id = await start(system, 'prompt.asks', { input: { asks: true } });
      await until(system, id, ({ waiting }) => Boolean(waiting));
      await system.post(`/api/v1/executions/${id}/approval`, { decision: 'approve', by: 'shape' });
      return closed(system, id);
    },
  },
  {
    name: 'paused',
    run: async ({ system, accepting }) => {
      const id = await start(system, 'accepting.x', { timeout_ms: 60_000 });
      await accepting.waitFor(1, isCallOf(id));
      await system.post(`/api/v1/executions/${id}/pause`);
      await system.post(`/api/v1/executions/${id}/resume`);
      await accepting.report(id, { status: 'succeeded' });
      return closed(system, id);
    },
  },
  {
    name: 'cancelled-by-its-agent',
    run: async ({ system, accepting }) => {
      const id = await start(system, 'accepting.x', {});
      await accepting.waitFor(1, isCallOf(id));
      await system.post(`/api/v1/executions/${id}/cancel`, { reason: 'shape', grace_ms: 60_000 });
      await accepting.waitFor(1, isCancelOf(id));
      await accepting.report(id, { status: 'cancelled', partial_result: 1 });
      return closed(system, id);
    },
  },
  {
    name: 'cut-off',
    run: async ({ system, receiverUrl }) => {
      const id = await start(system, 'prompt.slow', { input: { slow: true }, webhook: { url: receiverUrl } });
      await system.running(id);
      await system.post(`/api/v1/executions/${id}/cancel`, { reason: 'shape', grace_ms: 20 });
      return closed(system, id);
    },
  },
  {
    name: 'steered',
    run: async ({ system, accepting }) => {
      const id = await start(system, 'accepting.x', {});
      await accepting.waitFor(1, isCallOf(id));
      await system.post(`/api/v1/executions/${id}/messages`, { id: 'm', text: 'faster', interrupt: true });
      const patch = [{ op: 'add', path: '/a', value: 1 }];
      await system.post(`/api/v1/executions/${id}/events`, { type: 'context.patch', patch });
      await system.post(`/api/v1/executions/${id}/events`, { type: 'steer.applied', message_id: 'm' });
      await accepting.report(id, { status: 'succeeded' });
      return closed(system, id);
    },
  },
  {
    name: 'carried-on',
    run: async ({ brief, accepting }) => {
      const id = await start(brief, 'accepting.x', { timeout_ms: 60_000 });
      await accepting.waitFor(1, isCallOf(id));
      for (let i = 0; i < 12; i++) await brief.post(`/api/v1/executions/${id}/events`, { type: 'note', text: `${i}` });
      await accepting.report(id, { status: 'succeeded' });
      return closed(brief, id);
    },
  },
  {
    name: 'reused',
    events: 5,
    run: async ({ system, accepting }) => {
      const id = await start(system, 'accepting.x', {});
      const { run_id: run } = (await system.get(`/api/v1/executions/${id}`)).body;
      const headers = { 'x-run-id': run, 'x-parent-execution-id': id };
      await system.post('/api/v1/execute/prompt.x', { input: { a: 1 } }, headers);
      await accepting.report(id, { status: 'failed', error: 'shape' });
      await closed(system, id);
      const { body: again } = await system.post(`/api/v1/executions/${id}/restart`, { reuse: 'succeeded' });
      const inRerun = { 'x-run-id': again.run_id, 'x-parent-execution-id': again.execution_id };
      const { body } = await system.post('/api/v1/execute/prompt.x', { input: { a: 1 } }, inRerun);
      return closed(system, body.execution_id as string);
    },
  },
  {
    name: 'restarted-from-checkpoint',
    run: async ({ system, accepting }) => {
      const id = await start(system, 'accepting.x', {});
      await accepting.waitFor(1, isCallOf(id));
      await system.post(`/api/v1/executions/${id}/events`, { type: 'checkpoint', data: { page: 6 } });
      await accepting.report(id, { status: 'failed', error: 'shape' });
      await closed(system, id);
      const { body: again } = await system.post(`/api/v1/executions/${id}/restart`, { from: 'checkpoint' });
      await accepting.report(again.execution_id, { status: 'succeeded' });
      return closed(system, again.execution_id as string);
    },
  },
];

async function until(system: System, id: string, isSo: (view: Body) => boolean): Promise<void> {
  while (!isSo((await system.get(`/api/v1/executions/${id}?wait=5`)).body));
}

/** Until the workflow knows that the agent answered 202: the common order of events, and the one that is counted. */
async function acknowledged(system: System, id: string): Promise<void> {
  for (;;) {
    const { events } = await system.client.workflow.getHandle(id).fetchHistory();
    const last = events?.at(-1);
    if (last?.markerRecordedEventAttributes) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
