import { setTimeout as sleep } from 'node:timers/promises';
import type { Send } from './http.ts';
import { clock, outcomeIn, questionIn } from './ledger.ts';
import type { Ledger, LoggedAttempt } from './ledger.ts';

const PERIOD_MS = 700;
const MAX_IDS = 200;
const TIMEOUT_MS = 15_000;
const LAST_LOOK_TRIES = 20;

type Shown = Record<string, Record<string, unknown>>;

export interface Batch {
  /** Resolves when a batch has told the end of this execution. */
  untilEnd: (n: number, id: string) => Promise<void>;
}

/** One client that follows many executions by `batch-status`. */
export function createBatch(deps: {
  ledger: Ledger;
  send: Send;
  apiOf: (turn: number) => string;
  signal: AbortSignal;
}): Batch {
  const { ledger, send, apiOf, signal } = deps;
  const waiting = new Map<string, { n: number; end: () => void }>();
  let isRunning = false;

  async function run(): Promise<void> {
    isRunning = true;
    for (let turn = 0; waiting.size > 0 && !signal.aborted; turn++) {
      const ids = [...waiting.keys()].slice(0, MAX_IDS);
      const ended = await readBatch(
        ledger,
        send,
        apiOf(turn),
        new Map(ids.map((id) => [id, waiting.get(id)?.n ?? -1])),
      );
      for (const id of ended) {
        waiting.get(id)?.end();
        waiting.delete(id);
      }
      await sleep(PERIOD_MS, undefined, { signal }).catch(() => undefined);
    }
    isRunning = false;
    if (signal.aborted) for (const { end } of waiting.values()) end();
  }

  return {
    untilEnd: (n, id) =>
      new Promise((end) => {
        waiting.set(id, { n, end });
        if (!isRunning) void run();
      }),
  };
}

/** Notes what one `batch-status` tells. @returns the ids that are over */
async function readBatch(ledger: Ledger, send: Send, api: string, ids: Map<string, number>): Promise<string[]> {
  const askedAt = clock();
  const url = `${api}/api/v1/executions/batch-status`;
  const answer = await send({ n: -1, url, body: { execution_ids: [...ids.keys()] }, timeoutMs: TIMEOUT_MS }).catch(
    () => undefined,
  );
  if (!answer) return [];
  const { status, headers, body } = answer;
  if (status !== 200) {
    const retryAfter = headers.has('retry-after');
    ledger.add(-1, { kind: 'refused', to: 'batch', sentAt: askedAt, status, code: String(body.code), retryAfter });
    return [];
  }
  return [...ids].filter(([id, n]) => noteShown(ledger, n, id, askedAt, (body as Shown)[id] ?? {})).map(([id]) => id);
}

function noteShown(ledger: Ledger, n: number, id: string, askedAt: number, shown: Record<string, unknown>): boolean {
  const outcome = outcomeIn(shown);
  if (outcome) ledger.add(n, { kind: 'told', id, channel: 'batch', askedAt, outcome });
  else
    ledger.add(n, {
      kind: 'told-open',
      id,
      channel: 'batch',
      askedAt,
      status: String(shown.status),
      ...questionIn(shown),
    });
  return outcome !== undefined;
}

/** The last look at everything, through every API process, when all is well again. */
export async function readAllByBatch(
  ledger: Ledger,
  send: Send,
  apiUrls: readonly string[],
  ids: ReadonlyMap<string, number>,
): Promise<void> {
  const all = [...ids];
  for (const [i, api] of apiUrls.entries()) {
    for (let from = 0; from < all.length; from += MAX_IDS) {
      const some = all.slice(from, from + MAX_IDS);
      const askedAt = clock();
      const url = `${api}/api/v1/executions/batch-status`;
      const ask = () => send({ n: -1, url, body: { execution_ids: some.map(([id]) => id) }, timeoutMs: 60_000 });
      let { status, body } = await ask();
      // A machine that is busy with other things may keep Temporal from answering in time.
      for (let tries = 1; status === 503 && tries < LAST_LOOK_TRIES; tries++) {
        await sleep(PERIOD_MS);
        ({ status, body } = await ask());
      }
      for (const [id, n] of some) {
        const shown = (body as Shown)[id] ?? {};
        noteShown(ledger, n, id, askedAt, shown);
        if (i === 0)
          ledger.add(n, { kind: 'attempt-log', id, attempts: (shown.webhook_events ?? []) as LoggedAttempt[] });
      }
    }
  }
}
