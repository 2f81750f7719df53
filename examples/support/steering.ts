/**
 * How an agent listens to the people who watch it. Before each step it asks for its directions, by a POST to
 * `Perdure-Events-URL` that also brings what it has to tell: `{"control": "continue" | "hold" | "cancel", "messages":
 * […]}` comes back. A message comes again until the agent has said what became of it, so none is lost.
 *
 * The work does not depend on it: when nobody answers, it goes on as it was told last.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError, isObject, type Call, type PatchOperation } from './agent-server.ts';

const ASK_TIMEOUT_MS = 3_000;

/** Something that a person said. It has a text, or data. */
export interface Message {
  id: string;
  text?: string;
  data?: unknown;
}

/** What is told with the next question: what became of a message, and what is to be remembered of it. */
export type Told =
  | { type: 'steer.applied'; message_id: string; step: string }
  | { type: 'steer.rejected'; message_id: string; reason: string }
  | { type: 'context.patch'; patch: PatchOperation[] };

export interface Steering {
  /**
   * The messages that are new; to be asked for again until there are none. Waits while the execution is held, throws
   * when it is cancelled.
   */
  listen: () => Promise<Message[]>;
  /** To be told with the next question, all of it or nothing. */
  tell: (...news: Told[]) => void;
  /** What the agent had shown of its memory when it was called before: a new attempt begins with nothing else. */
  recall: () => Promise<Record<string, unknown>>;
}

/** @param holdPollMs how long to wait before asking again while the execution is held */
export function createSteering({ attempt, eventsUrl, signal }: Call, holdPollMs: number): Steering {
  const known = new Set<string>();
  let untold: Told[] = [];
  let control: unknown = 'continue';

  /** The answer, or undefined when there is none that can be read. */
  async function request(url: string, init: RequestInit): Promise<{ status: number; body: object } | undefined> {
    try {
      const timely = AbortSignal.any([signal, AbortSignal.timeout(ASK_TIMEOUT_MS)]);
      const response = await fetch(url, { ...init, signal: timely });
      const body: unknown = await response.json();
      return isObject(body) ? { status: response.status, body } : undefined;
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
  }

  async function ask(url: string): Promise<Message[]> {
    const events = untold;
    const headers = { 'content-type': 'application/json' };
    const answer = await request(url, { method: 'POST', headers, body: JSON.stringify({ events }) });
    // It is told with the next question, unless it would be refused again.
    if (answer && answer.status < 500 && answer.status !== 429) untold = untold.slice(events.length);
    const { control: said, messages } = (answer?.body ?? {}) as { control?: unknown; messages?: unknown };
    control = said ?? control;
    return Array.isArray(messages) ? messages.filter(isMessage) : [];
  }

  return {
    tell: (...news) => void (untold = [...untold, ...news]),

    listen: async () => {
      if (eventsUrl === undefined) return [];
      for (;;) {
        const messages = (await ask(eventsUrl)).filter(({ id }) => !known.has(id));
        if (control === 'cancel') throw new AgentError(409, 'the execution was cancelled');
        for (const { id } of messages) known.add(id);
        if (messages.length > 0 || control !== 'hold') return messages;
        await sleep(holdPollMs, undefined, { signal });
      }
    },

    recall: async () => {
      if (eventsUrl === undefined || attempt === 1) return {};
      const { document } = ((await request(eventsUrl.replace(/events$/, 'context'), {}))?.body ?? {}) as {
        document?: unknown;
      };
      return isObject(document) ? document : {};
    },
  };
}

function isMessage(value: unknown): value is Message {
  return isObject(value) && typeof value['id'] === 'string';
}
