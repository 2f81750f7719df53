/** P3 and P3d: 202, then a stream of server-sent events that ends with the outcome, and a status to poll beside it. */
import { EventEmitter } from 'node:events';
import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { POLICY } from '../settings.ts';
import { callAgent } from './call-agent.ts';
import { createDatabaseStore } from './database-store.ts';
import { createMemoryStore } from './memory-store.ts';
import type { Execution, Store } from './memory-store.ts';
import { AGENT_URL, ATTEMPTS, listen } from './serve.ts';

const { DATABASE } = process.env;
const store: Store = DATABASE === undefined ? createMemoryStore() : createDatabaseStore(DATABASE);
const ends = new EventEmitter().setMaxListeners(0);

async function work({ id, input }: Execution): Promise<void> {
  store.end(id, await callAgent(AGENT_URL, id, input, ATTEMPTS));
  ends.emit(id);
}

// What a process before this one has left unfinished is done again.
for (const execution of store.unfinished()) void work(execution);

const app = new Hono();
app.post('/executions', async (c) => {
  const { input } = await c.req.json<{ input: unknown }>();
  const key = c.req.header('idempotency-key') ?? randomUUID();
  const { execution, isNew } = store.create({ id: `exec_${randomUUID()}`, key, input });
  if (isNew) void work(execution);
  return c.json({ execution_id: execution.id }, 202);
});

app.get('/executions/:id', (c) => {
  const execution = store.find(c.req.param('id'));
  return execution ? c.json(viewOf(execution)) : c.json({ error: 'no such execution' }, 404);
});

app.get('/executions/:id/events', (c) => {
  const id = c.req.param('id');
  if (!store.find(id)) return c.json({ error: 'no such execution' }, 404);
  return streamSSE(c, async (stream) => {
    let onEnd = () => {};
    const ended = new Promise<void>((resolve) => {
      onEnd = resolve;
      ends.once(id, onEnd);
      stream.onAbort(onEnd);
      if (store.find(id)?.outcome) onEnd();
    });
    const heartbeat = setInterval(() => void stream.write(': still here\n\n'), POLICY.sseHeartbeatMs);
    await ended;
    clearInterval(heartbeat);
    ends.off(id, onEnd);
    const execution = store.find(id);
    if (execution && !stream.aborted) await stream.writeSSE({ event: 'end', data: JSON.stringify(viewOf(execution)) });
  });
});
listen(app);

function viewOf({ id, outcome }: Execution) {
  return { execution_id: id, ...(outcome ?? { status: 'running' }) };
}
