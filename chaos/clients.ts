import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { followLog } from './logs.ts';
import { createBatch } from './batch.ts';
import type { Answer, Send } from './http.ts';
import { clock, firstOf, outcomeIn, questionIn, TERMINAL } from './ledger.ts';
import type { Channel, Ledger } from './ledger.ts';
import type { PlannedExecution } from './plan.ts';
import { webhookSecrets } from './secrets.ts';
import { AGENT_NODE } from './stand.ts';
import { createSteering } from './steering.ts';

export interface Clients {
  /** Lives through one execution: submits it, steers it as planned, follows it until its end is told. */
  run: (planned: PlannedExecution) => Promise<void>;
  /** A read of the kind that a receiver makes when it is told. */
  ask: (n: number, id: string) => Promise<void>;
  /** Gives up everything that is still being waited for. */
  stop: () => void;
}

export interface ClientsDeps {
  ledger: Ledger;
  seed: number;
  send: Send;
  apiUrls: readonly [string, string];
  receiverUrl: string;
}

const SUBMIT_TIMEOUT_MS = 40_000;
const READ_TIMEOUT_MS = 10_000;
const LONG_POLL_S = 4;
const ASK_TIMEOUT_MS = 700;
const RETRY_MS = 300;
/** A client with a key sends its request again for so long. */
const RESUBMIT_MS = 90_000;
/** After so long without a webhook its client looks for itself. */
const WEBHOOK_PATIENCE_MS = 15_000;

export function createClients({ ledger, seed, send, apiUrls, receiverUrl }: ClientsDeps): Clients {
  const stopped = new AbortController();
  const { signal } = stopped;
  // Everything that waits listens to it.
  setMaxListeners(0, signal);
  const apiOf = (turn: number) => apiUrls[turn % 2 === 0 ? 0 : 1];
  const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => undefined);
  const batch = createBatch({ ledger, send, apiOf, signal });
  const steer = createSteering({
    ledger,
    send,
    apiOf,
    signal,
    read: (n, id, turn) => read(n, id, 'poll', turn).catch(() => 'unknown'),
  });

  /** @returns the id, as soon as the client knows it */
  async function submit(planned: PlannedExecution): Promise<string | undefined> {
    const { n, way, hasKey } = planned;
    const path = way === 'async' ? `/api/v1/execute/async/${AGENT_NODE}.work` : `/api/v1/execute/${AGENT_NODE}.work`;
    const headers = {
      'content-type': 'application/json',
      'x-run-id': `run_${n}`,
      ...(hasKey && { 'idempotency-key': `key ${seed} ${n}` }),
      ...(way === 'prefer-wait' && { prefer: `wait=${1 + (n % 3)}` }),
    };
    const until = clock() + RESUBMIT_MS;
    for (let attempt = 1; !signal.aborted; attempt++) {
      const turn = n + attempt;
      const sentAt = clock();
      ledger.add(n, { kind: 'submit-sent', try: attempt, api: `api-${(turn % 2) + 1}` });
      try {
        const answer = await send({
          n,
          url: apiOf(turn) + path,
          body: requestOf(planned),
          headers,
          timeoutMs: SUBMIT_TIMEOUT_MS,
        });
        const id = noteSubmitted(n, attempt, answer);
        if (id !== undefined || answer.status < 500) return id;
      } catch (err) {
        ledger.add(n, { kind: 'submit-cut', try: attempt, sentAt, why: describe(err) });
      }
      if (!hasKey || clock() > until) return undefined;
      await pause(RETRY_MS);
    }
    return undefined;
  }

  function requestOf({ n, receiver, timeoutMs }: PlannedExecution): unknown {
    const { secret, header, query } = webhookSecrets(seed, n);
    return {
      input: { n },
      ...(timeoutMs !== undefined && { timeout_ms: timeoutMs }),
      ...(receiver && {
        webhook: { url: `${receiverUrl}/hook/${n}?token=${query}`, secret, headers: { 'x-tenant': header } },
      }),
    };
  }

  /** A 503 with a `Location` says that the execution exists although its end cannot be told now. */
  function noteSubmitted(n: number, attempt: number, { sentAt, status, headers, body }: Answer): string | undefined {
    const code = typeof body.code === 'string' ? body.code : undefined;
    const located = headers.get('location')?.split('/').at(-1);
    const id = code === undefined ? String(body.execution_id) : located;
    const retryAfter = headers.has('retry-after');
    ledger.add(n, {
      kind: 'submit-answered',
      try: attempt,
      sentAt,
      status,
      retryAfter,
      ...(id !== undefined && { id }),
      ...(code !== undefined && { code }),
    });
    if (code !== undefined) ledger.add(n, { kind: 'refused', to: 'submit', sentAt, status, code, retryAfter });
    const ended = code === undefined ? outcomeIn(body) : undefined;
    // A replay that is over is told by its status alone where the route does not wait.
    const outcome = status === 202 && ended ? { status: ended.status } : ended;
    if (outcome && id !== undefined) ledger.add(n, { kind: 'told', id, channel: 'sync', askedAt: sentAt, outcome });
    return id;
  }

  /** @returns the status, where it is told */
  async function read(n: number, id: string, channel: Channel, turn: number, waitS?: number): Promise<string> {
    const askedAt = clock();
    const url = `${apiOf(turn)}/api/v1/executions/${id}${waitS === undefined ? '' : `?wait=${waitS}`}`;
    const timeoutMs = channel === 'receiver-poll' ? ASK_TIMEOUT_MS : READ_TIMEOUT_MS;
    const { status, headers, body } = await send({ n, url, timeoutMs });
    if (status !== 200) {
      const retryAfter = headers.has('retry-after');
      ledger.add(n, { kind: 'refused', to: channel, sentAt: askedAt, status, code: String(body.code), retryAfter });
      return 'unknown';
    }
    const outcome = outcomeIn(body);
    if (outcome) ledger.add(n, { kind: 'told', id, channel, askedAt, outcome });
    else ledger.add(n, { kind: 'told-open', id, channel, askedAt, status: String(body.status), ...questionIn(body) });
    return String(body.status);
  }

  async function follow({ n, follow }: PlannedExecution, id: string): Promise<void> {
    if (isTold(n)) return;
    if (follow === 'batch') return batch.untilEnd(n, id);
    if (follow === 'stream') return followLog({ ledger, apiOf, signal }, n, id);
    if (follow === 'webhook' && (await toldByWebhook(n))) return;
    for (let turn = n; !signal.aborted; turn++) {
      const isLong = follow === 'long-poll';
      const status = await read(n, id, isLong ? 'long-poll' : 'poll', turn, isLong ? LONG_POLL_S : undefined).catch(
        () => 'unknown',
      );
      if (TERMINAL.includes(status)) return;
      await pause(isLong ? 50 : 300 + (n % 5) * 100);
    }
  }

  const told = new Set<number>();
  const isTold = (n: number) => told.has(n);
  ledger.watch((fact) => {
    if (fact.kind === 'told' && fact.channel === 'sync') told.add(fact.n);
  });

  function toldByWebhook(n: number): Promise<boolean> {
    return firstOf(ledger, (fact) => fact.kind === 'told' && fact.n === n && fact.channel === 'webhook', {
      timeoutMs: WEBHOOK_PATIENCE_MS,
      signal,
    }).then((fact) => fact !== undefined);
  }

  return {
    run: async (planned) => {
      const steered = steer(planned);
      const id = await submit(planned);
      if (id === undefined) return ledger.giveUp(planned.n);
      await follow(planned, id);
      await steered;
    },
    ask: async (n, id) => {
      await read(n, id, 'receiver-poll', n).catch(() => undefined);
    },
    stop: () => stopped.abort(),
  };
}

function describe(err: unknown): string {
  const { name, message, cause } = err as { name?: string; message?: string; cause?: { code?: string } };
  return cause?.code ?? `${name}: ${message}`;
}
