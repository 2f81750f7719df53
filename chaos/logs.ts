import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createParser } from 'eventsource-parser';
import { clock, outcomeIn } from './ledger.ts';
import type { Channel, Ledger } from './ledger.ts';
import { hasSecret } from './secrets.ts';
import { inParallel } from './parallel.ts';
import type { Send } from './http.ts';

const RECONNECT_MS = 200;
/** A stream says something every 10 s: one that does not is dead. */
const SILENCE_MS = 13_000;
const PAGE = 1000;
const READ_TIMEOUT_MS = 60_000;

interface Entry {
  sequence: number;
  kind: string;
  data: Record<string, unknown>;
}

/** What one reader has seen of a log, entry by entry. */
function createReading(ledger: Ledger, n: number, id: string, channel: Channel) {
  const digest = createHash('sha256');
  const flaws: string[] = [];
  const steps: string[] = [];
  const talk: string[] = [];
  let last = 0;
  return {
    last: () => last,
    take: (text: string, askedAt: number) => {
      const { sequence, kind, data } = JSON.parse(text) as Entry;
      if (sequence !== last + 1) flaws.push(`${sequence} follows ${last}`);
      last = sequence;
      digest.update(text);
      if (hasSecret(text)) ledger.add(n, { kind: 'secret-seen', where: `log, by ${channel}` });
      if (kind === 'step') steps.push(String(data.name));
      talk.push(...talkIn(kind, data));
      // Pages are read when all is over.
      if (kind === 'waiting' && channel === 'stream')
        ledger.add(n, { kind: 'question-seen', id, channel, question: Number(data.turn) });
      const outcome = kind === 'outcome' ? outcomeIn(data) : undefined;
      if (outcome) ledger.add(n, { kind: 'told', id, channel, askedAt, outcome });
    },
    end: () => void ledger.add(n, { kind: 'log', id, channel, digest: digest.digest('hex'), steps, talk, flaws }),
  };
}

/** What one entry has of what persons and the agent say to each other: `steer.applied msg-7-0`, `answered yes`. */
function talkIn(kind: string, data: Record<string, unknown>): string[] {
  if (kind.startsWith('steer.')) return [`${kind} ${String(data.id)}`];
  if (kind === 'answered') return [`${kind} ${String(data.decision)}`];
  return ['waiting', 'paused', 'resumed'].includes(kind) ? [kind] : [];
}

/** Follows an execution by its event stream, and goes on at the other API whenever it breaks off. */
export async function followLog(
  { ledger, apiOf, signal }: { ledger: Ledger; apiOf: (turn: number) => string; signal: AbortSignal },
  n: number,
  id: string,
): Promise<void> {
  const reading = createReading(ledger, n, id, 'stream');
  let isOver = false;
  for (let turn = n; !isOver && !signal.aborted; turn++) {
    const askedAt = clock();
    const stop = new AbortController();
    const abort = () => stop.abort();
    signal.addEventListener('abort', abort);
    let silence = setTimeout(abort, SILENCE_MS);
    const parser = createParser({
      onEvent: ({ event, data }) => {
        if (event === 'end') isOver = true;
        else reading.take(data, askedAt);
      },
    });
    try {
      const response = await fetch(`${apiOf(turn)}/api/v1/executions/${id}/events?after=${reading.last()}`, {
        signal: stop.signal,
      });
      const { status, headers } = response;
      // What was read last was the end.
      if (status === 204) isOver = true;
      else if (status !== 200) {
        const { code } = (await response.json()) as { code?: string };
        const retryAfter = headers.has('retry-after');
        ledger.add(n, { kind: 'refused', to: 'stream', sentAt: askedAt, status, code: String(code), retryAfter });
      } else {
        const decoder = new TextDecoder();
        for await (const chunk of response.body ?? []) {
          clearTimeout(silence);
          silence = setTimeout(abort, SILENCE_MS);
          parser.feed(decoder.decode(chunk, { stream: true }));
        }
      }
    } catch {
      // It broke off, which is what it is made for.
    } finally {
      clearTimeout(silence);
      signal.removeEventListener('abort', abort);
    }
    if (!isOver) await sleep(RECONNECT_MS);
  }
  if (isOver) reading.end();
}

/** Every log once more by pages, when all is well again and everything has ended. */
export async function readAllLogs(
  ledger: Ledger,
  send: Send,
  apiUrls: readonly string[],
  ids: ReadonlyMap<string, number>,
): Promise<void> {
  let turn = 0;
  await inParallel(ids, async ([id, n]) => {
    const api = apiUrls[turn++ % apiUrls.length];
    const reading = createReading(ledger, n, id, 'pages');
    for (let hasMore = true; hasMore;) {
      const askedAt = clock();
      const url = `${api}/api/v1/executions/${id}/events?after=${reading.last()}&limit=${PAGE}`;
      const headers = { accept: 'application/json' };
      const { status, body } = await send({ n, url, headers, timeoutMs: READ_TIMEOUT_MS });
      // One that Temporal does not have is judged elsewhere.
      if (status !== 200) return;
      for (const event of body.events as unknown[]) reading.take(JSON.stringify(event), askedAt);
      hasMore = body.has_more === true;
      if (!hasMore && body.is_complete === true) reading.end();
    }
  });
}
