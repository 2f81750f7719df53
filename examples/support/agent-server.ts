/**
 * The HTTP side of an agent node, on plain node:http, so that it can be rewritten in any language:
 *
 *   GET  /health                              is the node up?
 *   POST /reasoners/{name}                    do the work; the body is the input object itself
 *   POST /_internal/executions/{id}/cancel    stop the work
 *
 * A reasoner that returns a promise is answered with one JSON body, one that returns an async generator with a
 * stream of frames. One that resolves with a `Question` has ended its turn, and is called again with the answer.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const MAX_BODY_BYTES = 1024 * 1024;
const STOP_GRACE_MS = 5_000;

export interface Call {
  input: Record<string, unknown>;
  executionId: string;
  /** 1 for the first call; the same execution is called again when a call was lost. */
  attempt: number;
  /** Where it says what it does and asks how to go on; unset when nobody but the caller is there. */
  eventsUrl: string | undefined;
  /** What it goes on with after a question; unset in its first turn. */
  continued: Continued | undefined;
  /** Aborted when the execution is cancelled or the connection closes. */
  signal: AbortSignal;
}

export interface Continued {
  turn: number;
  /** As the reasoner gave it with its question. */
  checkpoint: unknown;
  answer: Answer;
}

/** Without a decision and without data somebody has only sent a message. */
export interface Answer {
  decision?: string;
  data?: unknown;
  by?: string;
  reason?: string;
  /** Nobody answered in time: it is the question's own default. */
  is_default?: boolean;
}

/** Ends the turn of a reasoner until a person has answered. */
export class Question {
  readonly waiting: WaitingFor;
  readonly checkpoint: unknown;

  constructor(waiting: WaitingFor, checkpoint: unknown) {
    this.waiting = waiting;
    this.checkpoint = checkpoint;
  }
}

export interface WaitingFor {
  kind: 'question' | 'approval';
  text: string;
  options?: string[];
  expires_in_ms?: number;
  default?: unknown;
}

export type StepKind = 'thought' | 'tool_call' | 'tool_result' | 'self_correction' | 'message';

export type Frame =
  | { type: 'progress'; current_action: string; progress_pct: number; estimated_completion?: string }
  | { type: 'step'; kind: StepKind; name: string; summary: string; data?: unknown }
  | { type: 'context.patch'; patch: PatchOperation[] }
  | { type: 'partial_result'; data: unknown }
  | { type: 'result'; result: unknown }
  | { type: 'error'; error: string; retryable: boolean; error_details?: unknown };

/** Of JSON Patch (RFC 6902). */
export interface PatchOperation {
  op: 'add';
  path: string;
  value: unknown;
}

export type Reasoner = (call: Call) => Promise<unknown> | AsyncGenerator<Frame>;

/** A failure the caller may read. Perdure retries 429 and 5xx; any other status is final. */
export class AgentError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface Agent {
  node: string;
  help: string;
  reasoners: Record<string, Reasoner>;
}

export function serveAgent({ node, help, reasoners }: Agent): void {
  if (process.argv.includes('--help')) {
    console.log(help);
    return;
  }
  const port = Number(process.env['PORT'] || 0);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    exitWith(`PORT must be a whole number from 0 to 65535, not '${process.env['PORT']}'`);
  }

  // A set, not a map by id: after a lost connection the same execution may briefly be here twice.
  const running = new Set<{ executionId: string; controller: AbortController }>();

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [pathname = '/'] = (request.url ?? '/').split('?', 1);
    const [first, second, third, fourth, ...rest] = pathname.slice(1).split('/');
    if (request.method === 'GET' && pathname === '/health') {
      return sendJson(response, 200, { status: 'ok', node, running: running.size });
    }
    if (request.method === 'POST' && first === 'reasoners' && second && third === undefined) {
      const reasoner = Object.hasOwn(reasoners, second) ? reasoners[second] : undefined;
      if (!reasoner) throw new AgentError(404, `${node} has no reasoner '${second}'`);
      return runReasoner(reasoner, request, response);
    }
    const isCancel = first === '_internal' && second === 'executions' && fourth === 'cancel' && rest.length === 0;
    if (request.method === 'POST' && isCancel) {
      const found = [...running].filter(({ executionId }) => executionId === third);
      for (const { controller } of found) controller.abort();
      return sendJson(response, 200, { cancelled: found.length > 0 });
    }
    throw new AgentError(404, `no such path: ${request.method} ${pathname}`);
  }

  async function runReasoner(reasoner: Reasoner, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readJsonObject(request);
    const continued = continuedOf(body, header(request, 'perdure-turn'));
    const input = continued ? asObject(body['input']) : body;
    const controller = new AbortController();
    const executionId = header(request, 'x-execution-id') ?? randomUUID();
    const attempt = Math.max(1, Number.parseInt(header(request, 'perdure-attempt') ?? '1', 10) || 1);
    const eventsUrl = header(request, 'perdure-events-url');
    const entry = { executionId, controller };
    running.add(entry);
    // Nobody is left to read the answer, so there is no point in working on.
    response.once('close', () => controller.abort());
    try {
      const answer = reasoner({ input, executionId, attempt, eventsUrl, continued, signal: controller.signal });
      if (answer instanceof Promise) sendAnswer(response, await answer);
      else await sendFrames(response, answer, prefersEventStream(header(request, 'accept')), controller.signal);
    } catch (error) {
      // Cancelled: there is no result to send, and a final status keeps the call from being repeated.
      throw controller.signal.aborted ? new AgentError(409, 'the execution was cancelled') : error;
    } finally {
      running.delete(entry);
    }
  }

  const server = createServer((request, response) => {
    route(request, response).catch((error: unknown) => {
      const { status, message } = readable(error);
      sendJson(response, status, { error: message });
    });
  });
  server.once('error', (error) => exitWith(`cannot listen: ${error.message}`));
  server.listen(port, process.env['HOST'] || '127.0.0.1', () => {
    const { address, family, port: bound } = server.address() as AddressInfo;
    console.log(`listening on http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`);
  });

  const stop = (): void => {
    server.close();
    // Clients keep finished connections open for reuse, which would hold the process up.
    setInterval(() => server.closeIdleConnections(), 50).unref();
    setTimeout(() => server.closeAllConnections(), STOP_GRACE_MS).unref();
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

/** Sends frames as NDJSON, one JSON object per line, or as server-sent events. */
async function sendFrames(
  response: ServerResponse,
  frames: AsyncGenerator<Frame>,
  asEvents: boolean,
  signal: AbortSignal,
): Promise<void> {
  response.writeHead(200, {
    'content-type': asEvents ? 'text/event-stream' : 'application/x-ndjson',
    'cache-control': 'no-store',
  });
  const send = (frame: Frame): boolean => {
    const json = JSON.stringify(frame);
    return response.write(asEvents ? `event: ${frame.type}\ndata: ${json}\n\n` : `${json}\n`);
  };
  try {
    for await (const frame of frames) {
      // A slow reader slows the work down; without this its backlog would pile up in memory.
      if (!send(frame)) await once(response, 'drain', { signal });
    }
  } catch (error) {
    // The status line has long been sent: a failure in mid-stream has to be a frame.
    const { status, message } = signal.aborted ? new AgentError(409, 'the execution was cancelled') : readable(error);
    if (!response.destroyed) send({ type: 'error', error: message, retryable: status === 429 || status >= 500 });
  }
  response.end();
}

/** The header tells a question from a result that looks like one. */
function sendAnswer(response: ServerResponse, answer: unknown): void {
  if (answer instanceof Question) response.setHeader('perdure-status', 'waiting');
  sendJson(response, 200, answer);
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent || response.destroyed) return;
  const json = JSON.stringify(body ?? null);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) });
  response.end(json);
}

/** From the second turn on the body has the input, and what has become of the question. */
function continuedOf(body: Record<string, unknown>, turn: string | undefined): Continued | undefined {
  if (turn === undefined) return undefined;
  return { turn: Number(turn), checkpoint: body['checkpoint'], answer: asObject(body['answer']) as Answer };
}

async function readJsonObject(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    // What is too much is read and dropped: a client that is still sending would not see the 413.
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  if (size > MAX_BODY_BYTES) throw new AgentError(413, `the body is larger than ${MAX_BODY_BYTES} bytes`);
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new AgentError(400, 'the body is not JSON');
  }
  if (!isObject(body)) throw new AgentError(400, 'the body must be a JSON object: the input itself');
  return body;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asObject(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {};
}

/** What a caller may see of an error: ours as it is, anything unexpected only in our own log. */
function readable(error: unknown): { status: number; message: string } {
  if (error instanceof AgentError) return error;
  console.error(error);
  return { status: 500, message: 'internal error' };
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return (Array.isArray(value) ? value[0] : value)?.trim() || undefined;
}

function prefersEventStream(accept: string | undefined): boolean {
  const weight = (type: string): number => {
    for (const part of (accept ?? '').toLowerCase().split(',')) {
      const [name, ...parameters] = part.split(';').map((text) => text.trim());
      const q = parameters.find((parameter) => parameter.startsWith('q='));
      if (name === type) return q === undefined ? 1 : Number(q.slice(2)) || 0;
    }
    return 0;
  };
  return weight('text/event-stream') > weight('application/x-ndjson');
}

function exitWith(message: string): never {
  console.error(message);
  process.exit(2);
}
