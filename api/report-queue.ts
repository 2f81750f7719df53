import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentReport } from '../workflows/execution.ts';

/**
 * Turns what an agent reports by many requests into few signals. Those of one execution go out one after the other,
 * with a pause that grows, and each takes along all that has come meanwhile: nothing is left out, and no request is
 * answered before Temporal has taken what it brought.
 */
export interface ReportQueue {
  /**
   * Resolves once Temporal has them; rejects as the signal does that they went out with.
   * @param atLeastMs pause that is to follow at least, see `pauseAfter`
   */
  add: (executionId: string, reports: AgentReport[], atLeastMs?: number) => Promise<void>;
}

/**
 * The pauses between signals of one execution. They decide how many history events an execution can cost: four for
 * each signal, see docs/agent-protocol.md.
 */
const FIRST_PAUSE_MS = 50;
const PAUSE_GROWTH = 1.02;
const MAX_PAUSE_MS = 1_000;
/** From so many events on, pauses double with every so many more. */
const LONG_HISTORY_EVENTS = 10_000;
const DOUBLING_EVENTS = 2_500;

/**
 * The pause between signals that a history of so many events asks for, in milliseconds. A run that cannot be left,
 * because a call of its agent is in flight, grows ever more slowly: with one signal a second and four events for each
 * it is full after two weeks, see `MAX_SIGNALS`.
 */
export function pauseAfter(events: number): number {
  return events < LONG_HISTORY_EVENTS ? 0 : MAX_PAUSE_MS * 2 ** ((events - LONG_HISTORY_EVENTS) / DOUBLING_EVENTS);
}

/** Of one signal: Temporal takes 2 MiB. */
const MAX_BATCH_BYTES = 512 * 1024;
/** An execution that is silent for so long starts over with the shortest pause. */
const FORGET_MS = 60_000;
/** Who has sent an event finds its id among the newest, of which twice as many are kept. */
const MAX_BATCH_EVENTS = 1_000;

interface Waiting {
  reports: AgentReport[];
  bytes: number;
  resolve: () => void;
  reject: (err: unknown) => void;
}

interface Queue {
  waiting: Waiting[];
  isSending: boolean;
  pauseMs: number;
  atLeastMs: number;
  forget: NodeJS.Timeout | undefined;
}

export function createReportQueue(
  send: (executionId: string, reports: AgentReport[]) => Promise<void>,
  { firstPauseMs = FIRST_PAUSE_MS }: { firstPauseMs?: number } = {},
): ReportQueue {
  const queues = new Map<string, Queue>();

  async function drain(executionId: string, queue: Queue): Promise<void> {
    queue.isSending = true;
    clearTimeout(queue.forget);
    while (queue.waiting.length > 0) {
      const batch = takeBatch(queue.waiting);
      try {
        await send(
          executionId,
          batch.flatMap(({ reports }) => reports),
        );
        for (const { resolve } of batch) resolve();
      } catch (err) {
        for (const { reject } of batch) reject(err);
      }
      await sleep(Math.max(queue.pauseMs, queue.atLeastMs), undefined, { ref: false });
      queue.pauseMs = Math.min(queue.pauseMs * PAUSE_GROWTH, MAX_PAUSE_MS);
    }
    queue.isSending = false;
    queue.forget = setTimeout(() => queues.delete(executionId), FORGET_MS).unref();
  }

  return {
    add: (executionId, reports, atLeastMs = 0) => {
      const queue = queues.get(executionId) ?? {
        waiting: [],
        isSending: false,
        pauseMs: firstPauseMs,
        atLeastMs,
        forget: undefined,
      };
      queues.set(executionId, queue);
      queue.atLeastMs = atLeastMs;
      return new Promise((resolve, reject) => {
        queue.waiting.push({ reports, bytes: Buffer.byteLength(JSON.stringify(reports)), resolve, reject });
        if (!queue.isSending) void drain(executionId, queue);
      });
    },
  };
}

/** As many as one signal holds, at least one. */
function takeBatch(waiting: Waiting[]): Waiting[] {
  let bytes = 0;
  let events = 0;
  const end = waiting.findIndex((one, i) => {
    bytes += one.bytes;
    events += one.reports.length;
    return i > 0 && (bytes > MAX_BATCH_BYTES || events > MAX_BATCH_EVENTS);
  });
  return waiting.splice(0, end === -1 ? waiting.length : end);
}
