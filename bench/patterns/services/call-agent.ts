import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { POLICY } from '../settings.ts';

export interface Outcome {
  status: 'succeeded' | 'failed' | 'timeout';
  result?: unknown;
  error?: string;
}

// An agent may think for longer than undici would wait for the first byte of its answer.
const http = new Agent({ headersTimeout: 0, bodyTimeout: 0 });

/** Calls the agent and turns whatever happens into an outcome. Called again: after 5xx and broken connections. */
export async function callAgent(url: string, executionId: string, input: unknown, attempts: number): Promise<Outcome> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await callOnce(url, executionId, input);
    if (outcome.status !== 'failed' || attempt >= attempts) return outcome;
    await sleep(POLICY.agentRetryMs * 2 ** (attempt - 1));
  }
}

async function callOnce(url: string, executionId: string, input: unknown): Promise<Outcome> {
  const signal = AbortSignal.timeout(POLICY.agentTimeoutMs);
  try {
    const { statusCode, body } = await request(url, {
      dispatcher: http,
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-execution-id': executionId },
      body: JSON.stringify(input),
      signal,
    });
    const text = await body.text();
    if (statusCode !== 200) return { status: 'failed', error: `agent answered ${statusCode}` };
    return { status: 'succeeded', result: JSON.parse(text) as unknown };
  } catch (err) {
    return signal.aborted ? { status: 'timeout', error: 'agent timeout' } : { status: 'failed', error: String(err) };
  }
}
