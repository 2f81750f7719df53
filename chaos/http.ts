import { clock } from './ledger.ts';
import type { Ledger } from './ledger.ts';
import { hasSecret } from './secrets.ts';

/** A request of a client's, and its answer; every answer is searched for secrets. */
export type Send = (request: {
  n: number;
  url: string;
  body?: unknown;
  headers?: Record<string, string>;
  timeoutMs: number;
}) => Promise<Answer>;

export interface Answer {
  sentAt: number;
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

/** Throws where there is no answer, or none that is whole. */
export function createSend(ledger: Ledger): Send {
  return async ({ n, url, body, headers = {}, timeoutMs }) => {
    const sentAt = clock();
    const response = await fetch(url, {
      method: body === undefined ? 'GET' : 'POST',
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await response.text();
    if (hasSecret(text)) ledger.add(n, { kind: 'secret-seen', where: `answer of ${new URL(url).pathname}` });
    const parsed = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
    return { sentAt, status: response.status, headers: response.headers, body: parsed };
  };
}
