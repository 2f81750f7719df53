/**
 * The agent node of the benchmark, a process of its own. What it does is in the path, how long it works is in the
 * input (`work_ms`):
 *
 * - `/reasoners/echo` answers at once with what it got, `/reasoners/slow` when its work is done;
 * - `/reasoners/later` answers 202 and posts its result to the callback URL when its work is done;
 * - `/reasoners/stream` answers with two progress frames and the result;
 * - `/reasoners/hold` answers 202 and never reports back, `/reasoners/hang` never answers.
 *
 * `GET /calls` tells how often it was called for which execution; calls of `echo` are not counted.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Connections outlive the pauses between two blocks. */
const KEEP_ALIVE_MS = 600_000;
const CALLBACK_RETRY_MS = 200;
const MAX_CALLBACK_TRIES = 600;

interface Call {
  body: Buffer;
  workMs: number;
  callbackUrl: string;
  response: ServerResponse;
}

const BEHAVIOURS: Record<string, (call: Call) => Promise<void> | void> = {
  echo: ({ body, response }) => answer(response, body),
  slow: async ({ body, workMs, response }) => {
    await sleep(workMs);
    answer(response, body);
  },
  later: async ({ body, workMs, callbackUrl, response }) => {
    response.writeHead(202).end();
    await sleep(workMs);
    await report(callbackUrl, body);
  },
  stream: ({ body, response }) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.write('{"type":"progress","progress_pct":33}\n{"type":"progress","progress_pct":66}\n');
    response.end(`{"type":"result","result":${body.toString('utf8')}}\n`);
  },
  hold: ({ response }) => void response.writeHead(202).end(),
  hang: () => undefined,
};

const calls = new Map<string, number>();

const server = createServer((request, response) => {
  void handle(request, response).catch((err: unknown) => {
    process.stderr.write(`bench agent: ${String(err)}\n`);
    response.destroy();
  });
});

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  if (request.url === '/calls') return answer(response, Buffer.from(JSON.stringify(Object.fromEntries(calls))));
  const name = request.url?.replace('/reasoners/', '') ?? '';
  const behave = BEHAVIOURS[name];
  if (!behave) return void response.writeHead(204).end();
  if (name !== 'echo') count(String(request.headers['x-execution-id'] ?? ''));
  const workMs = name === 'echo' ? 0 : ((JSON.parse(body.toString('utf8')) as { work_ms?: number }).work_ms ?? 0);
  const callbackUrl = String(request.headers['perdure-callback-url'] ?? '');
  await behave({ body, workMs, callbackUrl, response });
}

function count(executionId: string): void {
  calls.set(executionId, (calls.get(executionId) ?? 0) + 1);
}

function answer(response: ServerResponse, body: Buffer): void {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body);
}

/** As an agent does it that keeps its word: until it is taken. */
async function report(url: string, body: Buffer): Promise<void> {
  for (let tries = 0; tries < MAX_CALLBACK_TRIES; tries++) {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{"status":"succeeded","result":${body.toString('utf8')}}`,
    }).catch(() => undefined);
    await response?.body?.cancel();
    if (response && response.status < 500) return;
    await sleep(CALLBACK_RETRY_MS);
  }
  throw new Error(`${url} did not take the result`);
}

server.keepAliveTimeout = KEEP_ALIVE_MS;
server.listen(0, '127.0.0.1');
await once(server, 'listening');
process.once('disconnect', () => process.exit());
process.send?.({ port: (server.address() as AddressInfo).port });
