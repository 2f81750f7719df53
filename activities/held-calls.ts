import type { ReadAnswer } from './agent-answer.ts';

/** A call that nobody follows is ended: its execution was cancelled, or goes on elsewhere. */
const UNFOLLOWED_MS = 60_000;
/** How long an answer is kept for a workflow task that must be done over, and how many are. */
const ANSWERED_MS = 15_000;
const MAX_ANSWERED = 200;

/** A call of an agent and its answer, read as far as that can be done without reporting to the workflow. */
export interface OpenCall {
  /** Counted from 1. */
  attempt: number;
  answer: Promise<ReadAnswer>;
  abort: () => void;
  /** To be called when it has been followed to its end. */
  end: () => void;
  toFailure: (err: unknown) => Error;
}

/** Calls that were begun in a workflow task, by execution: in flight, or answered a moment ago. */
export interface HeldCalls {
  isFull: () => boolean;
  get: (executionId: string) => OpenCall | undefined;
  add: (executionId: string, call: OpenCall) => void;
  /** The workflow task ends without the answer: the call is going to be followed. */
  handOver: (executionId: string) => void;
  /** Gives the call to who follows it to its end and removes it then; to one only, who may end it. */
  take: (executionId: string) => OpenCall | undefined;
  remove: (executionId: string) => void;
  /** Aborts the call and removes it. */
  end: (executionId: string) => void;
  /** Calls that are going to be followed, or may be, and are not yet. */
  unfollowed: () => number;
}

interface Held {
  call: OpenCall;
  isInFlight: boolean;
  isHandedOver: boolean;
  isTaken: boolean;
  timer: NodeJS.Timeout | undefined;
}

/** @param maxInFlight calls whose answer is still to come, or to be followed */
export function createHeldCalls(maxInFlight: number): HeldCalls {
  const calls = new Map<string, Held>();
  const answered = new Set<string>();
  let inFlight = 0;

  function settle(held: Held): void {
    if (held.isInFlight) inFlight -= 1;
    held.isInFlight = false;
  }

  function remove(executionId: string): void {
    const held = calls.get(executionId);
    if (!held) return;
    clearTimeout(held.timer);
    settle(held);
    calls.delete(executionId);
    answered.delete(executionId);
  }

  function end(executionId: string): void {
    calls.get(executionId)?.call.abort();
    remove(executionId);
  }

  function removeIn(ms: number, executionId: string): NodeJS.Timeout {
    return setTimeout(() => end(executionId), ms).unref();
  }

  function answer(executionId: string, held: Held): void {
    settle(held);
    if (held.isHandedOver || calls.get(executionId) !== held) return;
    clearTimeout(held.timer);
    held.timer = removeIn(ANSWERED_MS, executionId);
    answered.add(executionId);
    const [oldest] = answered;
    if (answered.size > MAX_ANSWERED && oldest !== undefined) remove(oldest);
  }

  return {
    isFull: () => inFlight >= maxInFlight,
    get: (executionId) => calls.get(executionId)?.call,
    add: (executionId, call) => {
      const timer = removeIn(UNFOLLOWED_MS, executionId);
      const held: Held = { call, isInFlight: true, isHandedOver: false, isTaken: false, timer };
      calls.set(executionId, held);
      inFlight += 1;
      const answered = () => answer(executionId, held);
      call.answer.then(({ kind }) => kind !== 'stream' && answered(), answered);
    },
    handOver: (executionId) => {
      const held = calls.get(executionId);
      if (held) held.isHandedOver = true;
    },
    take: (executionId) => {
      const held = calls.get(executionId);
      if (!held || held.isTaken) return undefined;
      clearTimeout(held.timer);
      held.isHandedOver = true;
      held.isTaken = true;
      return held.call;
    },
    remove,
    end,
    unfollowed: () =>
      [...calls.values()].filter((held) => !held.isTaken && (held.isInFlight || held.isHandedOver)).length,
  };
}
