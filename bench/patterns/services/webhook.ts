/** P1 and P1r: 202, the work goes on in this process, its result is posted to the client's webhook. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Hono } from 'hono';
import { request } from 'undici';
import { POLICY } from '../settings.ts';
import { callAgent } from './call-agent.ts';
import type { Outcome } from './call-agent.ts';
import { AGENT_URL, ATTEMPTS, listen } from './serve.ts';

interface Submission {
  input: unknown;
  webhook: { url: string };
}

const idOfKey = new Map<string, string>();

async function work(id: string, { input, webhook }: Submission): Promise<void> {
  const outcome = await callAgent(AGENT_URL, id, input, ATTEMPTS);
  for (let attempt = 1; ; attempt++) {
    if ((await deliver(id, webhook.url, outcome)) || attempt >= ATTEMPTS) return;
    await sleep(POLICY.webhookRetryMs * 2 ** (attempt - 1));
  }
}

async function deliver(id: string, url: string, outcome: Outcome): Promise<boolean> {
  try {
    const { statusCode, body } = await request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ execution_id: id, ...outcome }),
      signal: AbortSignal.timeout(POLICY.webhookTimeoutMs),
    });
    await body.dump();
    return statusCode >= 200 && statusCode < 300;
  } catch {
    return false;
  }
}

const app = new Hono();
app.post('/executions', async (c) => {
  const submission = await c.req.json<Submission>();
  const key = c.req.header('idempotency-key') ?? randomUUID();
  const known = idOfKey.get(key);
  const id = known ?? `exec_${randomUUID()}`;
  if (known === undefined) {
    idOfKey.set(key, id);
    void work(id, submission);
  }
  return c.json({ execution_id: id }, 202);
});
listen(app);
