import { EventEmitter, once, setMaxListeners } from 'node:events';
import type { Told } from './classify.ts';
import { httpServer } from './http.ts';

/** Where the client's ears are: the webhook receiver, and whether anything of the client can be reached at all. */
export interface ReceivingSide {
  webhookUrl: (execution: number) => string;
  /** Called with the first webhook that was taken. */
  onWebhook: (execution: number, listener: (told: Told) => void) => void;
  /** Webhooks taken. */
  taken: (execution: number) => number;
  refused: () => number;
  goDown: () => void;
  comeUp: () => void;
  whenUp: () => Promise<void>;
  /** Aborted when it next goes down. */
  breakSignal: () => AbortSignal;
  close: () => void;
}

export async function startReceivingSide(): Promise<ReceivingSide> {
  const taken = new Map<number, number>();
  const first = new Map<number, Told>();
  const listeners = new Map<number, (told: Told) => void>();
  const events = new EventEmitter().setMaxListeners(0);
  let isDown = false;
  let breaks = breakOfMany();
  let refused = 0;

  const { url, close } = await httpServer((path, body, response) => {
    if (isDown) {
      refused++;
      return response.writeHead(503).end();
    }
    const execution = Number(path.split('/').at(-1));
    const { status, result } = JSON.parse(body) as { status: string; result?: unknown };
    taken.set(execution, (taken.get(execution) ?? 0) + 1);
    response.writeHead(204).end();
    if (first.has(execution)) return undefined;
    const told = { status, result, at: performance.now() };
    first.set(execution, told);
    return listeners.get(execution)?.(told);
  });

  return {
    webhookUrl: (execution) => `${url}/hook/${execution}`,
    onWebhook: (execution, listener) => {
      listeners.set(execution, listener);
      // It may have come before the client had read the answer to its submit.
      const told = first.get(execution);
      if (told) listener(told);
    },
    taken: (execution) => taken.get(execution) ?? 0,
    refused: () => refused,
    goDown: () => {
      isDown = true;
      breaks.abort();
    },
    comeUp: () => {
      isDown = false;
      breaks = breakOfMany();
      events.emit('up');
    },
    whenUp: async () => {
      if (isDown) await once(events, 'up');
    },
    breakSignal: () => breaks.signal,
    close,
  };
}

/** Every stream and poll listens to it. */
function breakOfMany(): AbortController {
  const breaks = new AbortController();
  setMaxListeners(0, breaks.signal);
  return breaks;
}
