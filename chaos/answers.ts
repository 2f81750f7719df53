import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { canonical } from './ledger.ts';
import type { Outcome } from './ledger.ts';

/** The right answer to an input, which the client can work out too; also another one, and what an agent leaves behind. */
export function answerTo(seed: number, n: number, variant: 'a' | 'b' | 'checkpoint' = 'a'): unknown {
  return { n, variant, proof: createHash('sha256').update(`${seed} ${n} ${variant}`).digest('hex').slice(0, 16) };
}

export function succeeded(result: unknown): Outcome {
  return { status: 'succeeded', result: canonical(result) };
}

/** Whether the whole answer has left this process; a caller that is gone does not get it. */
export async function isSent(response: ServerResponse): Promise<boolean> {
  await Promise.race([once(response, 'finish'), once(response, 'close')]);
  return response.writableFinished;
}
