import { setTimeout as sleep } from 'node:timers/promises';
import { createParser } from 'eventsource-parser';
import { Agent, request } from 'undici';
import type { Told } from './classify.ts';
import type { ReceivingSide } from './receiving-side.ts';
import { POLICY } from './settings.ts';

/** By what a client of a pattern learns the outcome. */
export type Channel = 'webhook' | 'webhook, then polls' | 'stream, then polls';

/** The HTTP surface of a pattern, as far as the client uses it. */
export interface Surface {
  submitPath: string;
  statusPath: (id: string) => string;
  eventsPath?: (id: string) => string;
}

export interface Learned {
  told?: Told;
  /** The last thing heard was that it is not over. */
  unfinished?: boolean;
}

export interface PatternClient {
  /** The execution's id, once the service has said 202; undefined when patience was over. */
  submit: (execution: number) => Promise<string | undefined>;
  /** Waits for the outcome by the pattern's own channel, until told to give up. */
  learn: (execution: number, id: string, giveUp: AbortSignal) => Promise<Learned>;
  /** Answers other than 202 and failed connections. */
  failedSubmits: () => number;
  close: () => Promise<void>;
}

interface ClientOptions {
  url: string;
  channel: Channel;
  surface: Surface;
  side: ReceivingSide;
  /** Makes keys that no other cell has. */
  cell: string;
}

interface View {
  status: string;
  result?: unknown;
}

const TERMINAL = new Set(['succeeded', 'failed', 'timeout', 'cancelled']);

export function createClient({ url, channel, surface, side, cell }: ClientOptions): PatternClient {
  const http = new Agent({ headersTimeout: 0, bodyTimeout: 0 });
  let failedSubmits = 0;

  async function submit(execution: number): Promise<string | undefined> {
    const until = performance.now() + POLICY.submitPatienceMs;
    const webhook = channel === 'stream, then polls' ? undefined : { url: side.webhookUrl(execution), secret: 's' };
    while (performance.now() < until) {
      try {
        const { statusCode, body } = await request(`${url}${surface.submitPath}`, {
          dispatcher: http,
          method: 'POST',
          headers: { 'content-type': 'application/json', 'idempotency-key': `${cell}-${execution}` },
          body: JSON.stringify({ input: { n: execution }, webhook }),
          signal: AbortSignal.timeout(POLICY.submitTimeoutMs),
        });
        const answer = (await body.json()) as { execution_id?: string };
        if (statusCode === 202) return answer.execution_id;
      } catch {
        // Nobody there, cut off, or no answer in time: the same as a refusal.
      }
      failedSubmits++;
      await sleep(POLICY.submitRetryMs);
    }
    return undefined;
  }

  /** 'gone': the service knows no such execution. undefined: no answer. */
  async function poll(id: string): Promise<View | 'gone' | undefined> {
    await side.whenUp();
    // Held by its timer: Node 20 may collect an `AbortSignal.timeout()` that only `AbortSignal.any()` knows of.
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), POLICY.pollTimeoutMs);
    try {
      const { statusCode, body } = await request(`${url}${surface.statusPath(id)}`, {
        dispatcher: http,
        signal: AbortSignal.any([limit.signal, side.breakSignal()]),
      });
      const view = (await body.json()) as View;
      if (statusCode === 404) return 'gone';
      return statusCode === 200 ? view : undefined;
    } catch {
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Reads a stream to its end, which is the outcome, or until it breaks. */
  async function stream(path: string, giveUp: AbortSignal): Promise<Told | undefined> {
    await side.whenUp();
    let told: Told | undefined;
    const parser = createParser({
      onEvent: ({ data }) => {
        told = toTold(JSON.parse(data) as View);
      },
    });
    try {
      const { statusCode, body } = await request(`${url}${path}`, {
        dispatcher: http,
        headers: { accept: 'text/event-stream' },
        signal: AbortSignal.any([giveUp, side.breakSignal()]),
      });
      const decoder = new TextDecoder();
      for await (const chunk of body as AsyncIterable<Uint8Array>)
        if (statusCode === 200) parser.feed(decoder.decode(chunk, { stream: true }));
    } catch {
      // Broken: whoever asked polls next.
    }
    return told;
  }

  async function learnByStream(id: string, eventsPath: string, giveUp: AbortSignal): Promise<Learned> {
    let learned: Learned = {};
    while (!giveUp.aborted) {
      const told = await stream(eventsPath, giveUp);
      if (told) return { told };
      const view = await poll(id);
      if (view === 'gone') return {};
      if (view && TERMINAL.has(view.status)) return { told: toTold(view) };
      if (view) learned = { unfinished: true };
      await sleep(POLICY.reconnectMs);
    }
    return learned;
  }

  async function learnByPolls(id: string, giveUp: AbortSignal): Promise<Learned> {
    let learned: Learned = {};
    let pauseMs: number = POLICY.pollAfterMs;
    while (await pause(pauseMs, giveUp)) {
      pauseMs = POLICY.pollEveryMs;
      const view = await poll(id);
      if (view === 'gone') break;
      if (view && TERMINAL.has(view.status)) return { told: toTold(view) };
      if (view) learned = { unfinished: true };
    }
    return learned;
  }

  async function learn(execution: number, id: string, giveUp: AbortSignal): Promise<Learned> {
    if (surface.eventsPath) return learnByStream(id, surface.eventsPath(id), giveUp);
    const enough = new AbortController();
    const signal = AbortSignal.any([giveUp, enough.signal]);
    const byWebhook = new Promise<Learned>((resolve) => {
      side.onWebhook(execution, (told) => resolve({ told }));
      giveUp.addEventListener('abort', () => resolve({}), { once: true });
    });
    const byPolls = channel === 'webhook, then polls' ? learnByPolls(id, signal) : byWebhook;
    const first = await Promise.race([byWebhook, byPolls]);
    if (first.told === undefined && channel === 'webhook, then polls') return byPolls;
    enough.abort();
    return first;
  }

  return { submit, learn, failedSubmits: () => failedSubmits, close: () => http.destroy() };
}

function toTold({ status, result }: View): Told {
  return { status, result, at: performance.now() };
}

/** Whether the pause was slept to its end. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return sleep(ms, true, { signal }).catch(() => false);
}
