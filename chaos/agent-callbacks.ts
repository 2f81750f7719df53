import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { clock } from './ledger.ts';
import type { Ledger, Outcome } from './ledger.ts';
import type { PlannedExecution } from './plan.ts';

/** One call, and how to answer it. Every answer is in the ledger, and so is a caller that left before it. */
export interface Call {
  planned: PlannedExecution;
  id: string;
  /** The how-manyeth call of this execution, from 1. */
  call: number;
  /** From 1; each one but the last ends with a question. */
  turn: number;
  body: Record<string, unknown>;
  callbackUrl: string;
  eventsUrl: string;
  response: ServerResponse;
  reply: (
    status: number,
    how: string,
    body?: unknown,
    more?: { gave?: Outcome; retryable?: boolean; retryAfterS?: number; headers?: Record<string, string> },
  ) => Promise<void>;
  /** Messages that this call was told of: those that it has still to apply are true. */
  messages: Map<string, boolean>;
}

/** What an agent says by callbacks, as an SDK does it: again and again, until there is an answer. */
export interface AgentCallbacks {
  /**
   * How it ends its turn, or the execution.
   * @param more fields of the request beside the outcome
   */
  report: (call: Call, gave: Outcome, more?: object) => Promise<void>;
  /** Steps, spread over that time. */
  tellSteps: (call: Call, workMs: number) => Promise<void>;
  /** Asks once more for messages, and says of each that was ever got that it is applied. */
  applyMessages: (call: Call) => Promise<void>;
}

const GIVE_UP_MS = 90_000;
const STEPS = 3;
const EVENT_TRIES = 20;
const TIMEOUT_MS = 15_000;
const RETRY_MS = 250;

interface Directions {
  control: string;
  messages: { id: string; text: string; interrupt: boolean }[];
}

export function createAgentCallbacks(ledger: Ledger): AgentCallbacks {
  const callbacks = new Map<string, number>();

  async function report(call: Call, gave: Outcome, more: object = {}): Promise<void> {
    const { planned, id, callbackUrl } = call;
    const { n } = planned;
    const turn = call.turn > 1 && { turn: call.turn };
    const body = JSON.stringify({
      status: gave.status,
      ...(gave.result !== undefined && { result: JSON.parse(gave.result) as unknown }),
      ...(gave.error !== undefined && { error: gave.error }),
      ...more,
    });
    for (const until = clock() + GIVE_UP_MS; clock() < until; await sleep(RETRY_MS)) {
      const callback = (callbacks.get(id) ?? 0) + 1;
      callbacks.set(id, callback);
      const sentAt = clock();
      ledger.add(n, { kind: 'callback-sent', id, callback, gave, ...turn });
      try {
        const signal = AbortSignal.timeout(TIMEOUT_MS);
        const response = await fetch(callbackUrl, { method: 'POST', body, signal });
        const text = await response.text();
        const { status } = response;
        ledger.add(n, { kind: 'callback-answered', id, callback, sentAt, status, gave, ...turn });
        if (status < 400) return;
        noteRefused(n, 'callback', sentAt, response, text);
        if (status < 500) return;
      } catch {
        ledger.add(n, { kind: 'callback-cut', id, callback });
      }
    }
  }

  /** An event has an id, which keeps it from being recorded twice. @param note told of each answer there is */
  async function tell(call: Call, body: object, note: (status: number) => void): Promise<void> {
    for (let tries = 0; tries < EVENT_TRIES; tries++, await sleep(RETRY_MS)) {
      const sentAt = clock();
      try {
        const signal = AbortSignal.timeout(TIMEOUT_MS);
        const response = await fetch(call.eventsUrl, { method: 'POST', body: JSON.stringify(body), signal });
        const text = await response.text();
        note(response.status);
        if (response.ok) hear(call, JSON.parse(text) as Directions);
        else noteRefused(call.planned.n, 'event', sentAt, response, text);
        if (response.status < 500) return;
      } catch {
        // Not answered, or not to the end.
      }
    }
  }

  function hear({ planned: { n }, id, messages }: Call, directions: Directions): void {
    const { control } = directions;
    for (const { id: message, text, interrupt } of directions.messages) {
      if (messages.has(message)) continue;
      messages.set(message, true);
      ledger.add(n, { kind: 'message-seen', id, message, text, interrupt, control });
    }
  }

  function noteRefused(n: number, to: string, sentAt: number, { status, headers }: Response, text: string): void {
    const { code = '' } = JSON.parse(text) as { code?: string };
    ledger.add(n, { kind: 'refused', to, sentAt, status, code, retryAfter: headers.has('retry-after') });
  }

  return {
    report,

    tellSteps: async (call, workMs) => {
      const { planned, id } = call;
      for (let i = 1; i <= STEPS; i++) {
        await sleep(workMs / STEPS);
        const step = `call ${call.call} step ${i}`;
        const event = { id: `${call.call}.${i}`, type: 'step', kind: 'thought', name: step };
        await tell(call, event, (status) => ledger.add(planned.n, { kind: 'event-answered', id, step, status }));
      }
    },

    applyMessages: async (call) => {
      const { planned, id, messages } = call;
      await tell(call, { events: [] }, () => undefined);
      // An answer may bring further ones, which a map goes on with.
      for (const [message, isOpen] of messages) {
        if (!isOpen) continue;
        messages.set(message, false);
        ledger.add(planned.n, { kind: 'message-applied', id, message });
        const event = { id: `${call.call}.${message}`, type: 'steer.applied', message_id: message };
        await tell(call, event, (status) => ledger.add(planned.n, { kind: 'applied-answered', id, message, status }));
      }
    },
  };
}
