import { Agent, request } from 'undici';

export interface Answer {
  status: number;
  executionId: string;
  etag: string;
  text: string;
}

/** The HTTP client of the benchmark. */
export interface BenchClient {
  /** A GET without a body, else a POST of JSON. Throws unless the answer is 2xx. */
  send: (url: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;
  close: () => Promise<void>;
}

const MAX_CONNECTIONS = 256;

export function createBenchClient(): BenchClient {
  const http = new Agent({ connections: MAX_CONNECTIONS, keepAliveTimeout: 60_000 });
  return {
    send: async (url, body, headers = {}) => {
      const answer = await request(url, {
        dispatcher: http,
        headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
        ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
      });
      const text = await answer.body.text();
      if (answer.statusCode >= 300) throw new Error(`HTTP ${answer.statusCode}: ${text.slice(0, 200)}`);
      const header = (name: string) => String(answer.headers[name] ?? '');
      return { status: answer.statusCode, executionId: header('x-execution-id'), etag: header('etag'), text };
    },
    close: () => http.destroy(),
  };
}

/** About 260 bytes of JSON, as a question to an agent looks. */
export const INPUT = {
  question: 'Which of the three suppliers can deliver the replacement pumps before the end of the month?',
  documents: ['offer-2291.pdf', 'offer-2304.pdf', 'offer-2317.pdf'],
  language: 'en',
  limits: { max_tokens: 4000, max_steps: 12 },
  conversation: 'conv-7f31',
};

export const WEBHOOK_SECRET = 'whsec_bench';
