import { INPUT } from './client.ts';
import type { Answer, BenchClient } from './client.ts';
import { NODE_NAME } from './processes.ts';

/** An execution that runs, and whose agent has said 202 and nothing more; with its last answer. */
export async function startHeld(http: BenchClient, base: string): Promise<{ url: string; answer: Answer }> {
  const { executionId } = await http.send(`${base}/execute/async/${NODE_NAME}.hold`, { input: INPUT });
  const url = `${base}/executions/${executionId}`;
  for (let tries = 0; tries < 100; tries++) {
    const answer = await http.send(`${url}?wait=1`);
    if ((JSON.parse(answer.text) as { status: string }).status === 'running') return { url, answer };
  }
  throw new Error('the execution does not run');
}
