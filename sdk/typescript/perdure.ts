/**
 * A node of agents for Perdure, in one file without dependencies: copy it. It joins by itself, says that it is there,
 * answers every call with 202 and reports the outcome. When its process dies, Perdure gives the execution to another one,
 * with the last checkpoint: what was a `step` is not done again. See docs/sdk.md; perdure.py is the same in Python.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

// eslint-disable-next-line typescript/no-explicit-any -- JSON is what its sender says it is
export type Json = any;
export type Reasoner = (input: Json, execution: Execution) => Promise<unknown>;

export interface Node {
  /** Its name: the first half of a target. */
  node: string;
  /** Several processes may serve the same ones. */
  reasoners: Record<string, Reasoner>;
  /** JSON Schemas of inputs, by reasoner: Perdure refuses what does not match. */
  schemas?: Record<string, object>;
  /** Perdure's URL; `PERDURE_URL` when left out. */
  perdure?: string;
  host?: string;
  /** `PORT` when left out; 0 is a free one. */
  port?: number;
  heartbeatMs?: number;
  /** How long a stop waits for what is in hand. Then other processes go on with it. */
  graceMs?: number;
}

/** Somebody wants the execution to end, or it has ended without us. */
export class Cancelled extends Error {}

interface Init {
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

interface Answer {
  status: number;
  body: Json;
}

/** Asks until there is an answer: a 5xx, or none, says that Perdure or its Temporal is away for a while. */
async function ask(method: string, url: string, body?: unknown, init: Init = {}): Promise<Answer> {
  const headers = { 'content-type': 'application/json', ...init.headers };
  for (let pauseMs = 100; ; pauseMs = Math.min(pauseMs * 2, 5_000)) {
    // A signal of one's own ends it; the time limit is for one request, and longer than any `?wait=`.
    const signals = [AbortSignal.timeout(60_000), ...(init.signal ? [init.signal] : [])];
    try {
      const sent = body === undefined ? {} : { body: JSON.stringify(body) };
      const response = await fetch(url, { ...init, method, headers, signal: AbortSignal.any(signals), ...sent });
      const text = await response.text();
      if (response.status < 500) return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
      pauseMs = Math.max(pauseMs, Math.min(Number(response.headers.get('retry-after')) || 0, 60) * 1000);
    } catch {
      if (init.signal?.aborted) throw new Cancelled('cancelled');
    }
    await sleep(pauseMs, undefined, init.signal ? { signal: init.signal } : {}).catch(() => {
      throw new Cancelled('cancelled');
    });
  }
}

function refusal({ status, body }: Answer): Error {
  return new Error(`Perdure answered ${status}: ${body?.message ?? body?.detail ?? JSON.stringify(body)}`);
}

export interface Message {
  id: string;
  text?: string;
  data?: Json;
  from?: string;
  /** What became of it: it comes again until one of the two is said. @param step where it took effect */
  applied: (step: string) => void;
  rejected: (reason: string) => void;
}

/** One call of a reasoner. */
export class Execution {
  readonly id: string;
  readonly runId: string;
  /** 1, 2, 3 …: not the first one has perhaps a checkpoint to go on from. */
  readonly attempt: number;
  /** What `checkpoint` was given last, by this process or one before it. */
  lastCheckpoint: Json;
  /** The answer to a question, in the turn after it. */
  readonly answer: Json;
  /** Aborted when the execution is cancelled: for whatever takes an AbortSignal. */
  readonly signal: AbortSignal;
  readonly #api: string;
  readonly #eventsUrl: string;
  readonly #controller = new AbortController();
  readonly #known = new Set<string>();
  readonly #calls = new Map<string, number>();
  #unseen: Json[];
  #receipts: object[] = [];

  constructor(api: string, { headers }: IncomingMessage, body: Json) {
    this.#api = api;
    this.id = String(headers['x-execution-id']);
    this.runId = String(headers['x-run-id']);
    this.attempt = Number(headers['x-execution-attempt'] ?? 1);
    this.#eventsUrl = String(headers['perdure-events-url']);
    this.signal = this.#controller.signal;
    // In a later turn, and after a crash that had left a checkpoint, the input is only a part of the body.
    const continued = headers['perdure-turn'] === undefined ? {} : body;
    this.lastCheckpoint = continued.checkpoint ?? null;
    this.answer = continued.answer ?? null;
    this.#unseen = continued.messages ?? [];
  }

  cancel(): void {
    this.#controller.abort();
  }

  /**
   * The value of a step that is done once in an execution, however often the execution is begun. Between the effect and
   * the storing of its value a process may die: give `idempotencyKey` to whoever has the effect.
   */
  async step<T>(key: string, work: (idempotencyKey: string) => T | Promise<T>): Promise<T> {
    const url = `${this.#api}/executions/${this.id}/steps/${encodeURIComponent(key)}`;
    const stored = await this.#ask('GET', url);
    if (stored.status === 200) return stored.body.value;
    if (stored.body?.code !== 'step_not_found') throw refusal(stored);
    const value = (await work(`${this.id}/${key}`)) ?? null;
    const answer = await this.#ask('PUT', url, { value });
    // 409: a process that was taken for dead has stored another one. All go on with that.
    if (answer.status < 300 || answer.body?.code === 'step_differs') return answer.body.value;
    if (answer.body?.code === 'execution_finished') this.#end();
    throw refusal(answer);
  }

  async progress(currentAction: string, percent?: number): Promise<void> {
    await this.#tell({ type: 'progress', current_action: currentAction, progress_pct: percent });
  }

  async note(text: string, tags: string[] = []): Promise<void> {
    await this.#tell({ type: 'note', text, tags });
  }

  /** What whoever goes on after a crash is given as `lastCheckpoint`. */
  async checkpoint(data: unknown): Promise<void> {
    await this.#tell({ type: 'checkpoint', data });
    this.lastCheckpoint = data;
  }

  /** What people have said since the last time. Waits while the execution is paused; throws `Cancelled`. */
  async messages(): Promise<Message[]> {
    for (;;) {
      const { control, messages = [] } = await this.#tell();
      const open = [...this.#unseen, ...messages].filter(({ id }) => !this.#known.has(id) && this.#known.add(id));
      this.#unseen = [];
      const receipt = (type: string, message_id: string, more: object) =>
        void this.#receipts.push({ id: randomUUID(), type, message_id, ...more });
      if (open.length > 0 || control !== 'hold')
        return open.map((message) => ({
          ...message,
          applied: (step) => receipt('steer.applied', message.id, { step }),
          rejected: (reason) => receipt('steer.rejected', message.id, { reason }),
        }));
      await sleep(1_000, undefined, { signal: this.signal }).catch(() => this.#end());
    }
  }

  /**
   * The result of another target, as a child of this execution in the same run. A call that is made again after a crash
   * is the same one if its key is: the n-th call of a target, unless said otherwise.
   */
  async call(target: string, input: unknown = {}, key?: string): Promise<Json> {
    const count = (this.#calls.get(target) ?? 0) + 1;
    this.#calls.set(target, count);
    const started = await this.#ask(
      'POST',
      `${this.#api}/execute/async/${target}`,
      { input },
      {
        'x-run-id': this.runId,
        'x-parent-execution-id': this.id,
        'idempotency-key': `${this.id}/${key ?? `${target}/${count}`}`,
      },
    );
    if (started.status >= 300) throw refusal(started);
    for (;;) {
      const child = await this.#ask('GET', `${this.#api}/executions/${started.body.execution_id}?wait=20`);
      if (child.status !== 200) throw refusal(child);
      if (child.body.status === 'succeeded') return child.body.result;
      if (child.body.completed_at) throw new Error(`${target}: ${child.body.status}, ${child.body.error ?? ''}`);
    }
  }

  /** What is still to be said of messages when the work is over. */
  async flush(): Promise<void> {
    if (this.#receipts.length > 0) await this.#tell();
  }

  /** Each event has an id, so that one that is sent again is recorded once. */
  async #tell(...events: object[]): Promise<Json> {
    const told = [...this.#receipts, ...events.map((event) => ({ id: randomUUID(), ...event }))];
    this.#receipts = [];
    const answer = await this.#ask('POST', this.#eventsUrl, { events: told });
    if (answer.body?.control === 'cancel' || answer.status === 409) this.#end();
    if (answer.status >= 300) throw refusal(answer);
    return answer.body;
  }

  #ask(method: string, url: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return ask(method, url, body, { headers, signal: this.signal });
  }

  #end(): never {
    this.cancel();
    throw new Cancelled('the execution is cancelled, or over');
  }
}

/** Serves a node until SIGTERM or SIGINT. Resolves when it listens; `stop` does what the signals do. */
export async function serve(options: Node): Promise<{ url: string; stop: () => Promise<void> }> {
  const { node, reasoners, schemas = {}, host = '127.0.0.1', heartbeatMs = 2_000, graceMs = 10_000 } = options;
  const api = `${options.perdure ?? process.env['PERDURE_URL'] ?? 'http://localhost:8080'}/api/v1`;
  const instanceId = randomUUID();
  const running = new Map<string, { execution: Execution; done: Promise<void> }>();
  let stopping: Promise<void> | undefined;

  const server = createServer((request, response) => {
    const answer = (status: number) => response.writeHead(status).end();
    handle(request).then(answer, () => answer(400));
  });

  async function handle(request: IncomingMessage): Promise<number> {
    let text = '';
    for await (const chunk of request.setEncoding('utf8')) text += chunk;
    const [, kind, name = '', id = '', verb] = (request.url ?? '').split('/');
    if (kind === '_internal' && verb === 'cancel') running.get(id)?.execution.cancel();
    if (kind !== 'reasoners') return kind === '_internal' || kind === 'health' ? 200 : 404;
    const reasoner = Object.hasOwn(reasoners, name) ? reasoners[name] : undefined;
    if (!reasoner) return 404;
    const body = JSON.parse(text || '{}');
    const execution = new Execution(api, request, body);
    // Called again while it is at work: it goes on.
    if (running.has(execution.id)) return 202;
    if (stopping) return 503;
    const input = request.headers['perdure-turn'] === undefined ? body : body.input;
    const done = work(reasoner, input, execution, String(request.headers['perdure-callback-url']));
    running.set(execution.id, { execution, done });
    void done.finally(() => running.delete(execution.id));
    return 202;
  }

  async function work(reasoner: Reasoner, input: Json, execution: Execution, callbackUrl: string): Promise<void> {
    let outcome: object;
    try {
      outcome = { status: 'succeeded', result: (await reasoner(input, execution)) ?? null };
    } catch (error) {
      const isCancelled = execution.signal.aborted || error instanceof Cancelled;
      outcome = isCancelled ? { status: 'cancelled' } : { status: 'failed', error: String(error) };
    }
    await execution.flush().catch(() => undefined);
    // A refusal is an answer, too: 409 and 404 say that the execution is over or gone.
    await ask('POST', callbackUrl, outcome);
  }

  const say = (method: string, path: string, body: object, signal?: AbortSignal) =>
    ask(method, `${api}/nodes/${path}`, { instance_id: instanceId, ...body }, signal && { signal });

  async function register(): Promise<void> {
    const { status, body } = await say('POST', 'register', {
      id: node,
      base_url: url,
      communication_config: { heartbeat_interval: `${heartbeatMs}ms` },
      reasoners: Object.keys(reasoners).map((id) => ({ id, input_schema: schemas[id] })),
    });
    if (status >= 300) throw refusal({ status, body });
  }

  async function beat(): Promise<void> {
    const { status } = await say('POST', `${node}/heartbeat`, {});
    // Perdure does not know us: it has taken us for dead, or has lost its memory.
    if (status === 404 && !stopping) await register();
  }

  async function stop(): Promise<void> {
    const limit = AbortSignal.timeout(graceMs);
    await say('POST', `${node}/shutdown`, {}, limit).catch(() => undefined);
    const over = Promise.all([...running.values()].map(({ done }) => done));
    await Promise.race([over, once(limit, 'abort')]);
    clearInterval(beats);
    // What is not done by now is handed over at once.
    await say('PATCH', `${node}/status`, { phase: 'offline' }, AbortSignal.timeout(1_000)).catch(() => undefined);
    server.close();
    server.closeAllConnections();
  }

  server.listen(options.port ?? Number(process.env['PORT'] ?? 0), host);
  await once(server, 'listening');
  const url = `http://${host}:${(server.address() as AddressInfo).port}`;
  await register();
  let beating = false;
  const beats = setInterval(() => {
    if (beating) return;
    beating = true;
    void beat()
      .catch((error) => console.error(String(error)))
      .finally(() => (beating = false));
  }, heartbeatMs);
  const stopOnce = () => (stopping ??= stop());
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => void stopOnce().then(() => process.exit(0)));
  return { url, stop: stopOnce };
}
