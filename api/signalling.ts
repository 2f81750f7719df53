import type { Client, Connection } from '@temporalio/client';
import type { ExecutionState } from '../workflows/state.ts';
import { isOver } from '../workflows/state.ts';
import { ApiError } from './errors.ts';
import type { ReadState } from './pending.ts';
import { isNotFound } from '../common/temporal-errors.ts';
import type { Watchers } from './watchers.ts';

/** How signals reach open executions, and how who has sent one sees what came of it. */
export interface Signalling {
  /** Throws `execution_not_found`. */
  get: (executionId: string) => Promise<ReadState>;
  /**
   * The state, once no first call of the agent is under way in a workflow task, or after a short while. What is sent
   * to a workflow in such a task makes Temporal discard how the task ended if it ended the execution: the agent would
   * be called again. Throws `execution_not_found`.
   */
  getBetweenTasks: (executionId: string) => Promise<ReadState>;
  /** The same; throws `execution_finished` where it is over. */
  getOpen: (executionId: string) => Promise<ReadState>;
  /** The same, as Temporal has it now: another API process may be ahead of what is known here. */
  getOpenNow: (executionId: string) => Promise<ReadState>;
  /** The state, as Temporal has it now. Throws `execution_not_found`. */
  getNow: (executionId: string) => Promise<ReadState>;
  /** Sends to an open execution; `closed` when it has ended in the meantime. */
  signalOpen: (executionId: string, send: () => Promise<void>) => Promise<'sent' | 'closed'>;
  /**
   * Sends, and waits until the history shows it: who reads then finds what was sent. Throws `execution_finished` where
   * it came too late.
   * @returns undefined when it was not seen in time, although Temporal has it
   */
  signalAndSee: (
    executionId: string,
    send: () => Promise<unknown>,
    isSeen: (state: ReadState) => boolean,
  ) => Promise<ReadState | undefined>;
  /** The state as soon as it is so, or after a while. Throws `execution_not_found`. */
  see: (executionId: string, isSo: (state: ReadState) => boolean) => Promise<ReadState>;
  /** Any call of Temporal, with a deadline. */
  call: <T>(fn: () => Promise<T>, deadlineMs?: number) => Promise<T>;
}

const CALL_DEADLINE_MS = 5_000;
const SEE_OWN_SIGNAL_MS = 5_000;
/** How much longer than the patience a message waits for the end of a workflow task in which the agent is called. */
const FIRST_CALL_GRACE_MS = 1_000;

/** @param patienceMs how long a workflow task may wait for the agent that it calls */
export function createSignalling(client: Client, watchers: Watchers, patienceMs: number): Signalling {
  const firstCallMs = patienceMs + FIRST_CALL_GRACE_MS;
  const { connection } = client as Client & { connection: Connection };
  const call: Signalling['call'] = (fn, deadlineMs = CALL_DEADLINE_MS) =>
    connection.withDeadline(Date.now() + deadlineMs, fn);

  const get: Signalling['get'] = async (executionId) => {
    const state = await watchers.read(executionId);
    if (!state) throw notFound(executionId);
    return state;
  };

  const getBetweenTasks: Signalling['getBetweenTasks'] = async (executionId) => {
    const isCalling = ({ startedAt, pending }: ReadState) =>
      startedAt === undefined && pending.task?.isStarted === true;
    const state = await get(executionId);
    if (!isCalling(state)) return state;
    const later = await watchers.waitFor(executionId, (now) => !isCalling(now), { timeoutMs: firstCallMs });
    if (!later) throw notFound(executionId);
    return later;
  };

  const signalOpen: Signalling['signalOpen'] = async (executionId, send) => {
    try {
      await send();
      return 'sent';
    } catch (err) {
      if (!isNotFound(err)) throw err;
      watchers.forget(executionId);
      return 'closed';
    }
  };

  const getOpen: Signalling['getOpen'] = async (executionId) => {
    const state = await getBetweenTasks(executionId);
    if (isOver(state)) throw conflict(state);
    return state;
  };

  const see: Signalling['see'] = async (executionId, isSo) => {
    const isDone = (now: ReadState) => isSo(now) || isOver(now);
    const state = await watchers.waitFor(executionId, isDone, { timeoutMs: SEE_OWN_SIGNAL_MS });
    if (!state) throw notFound(executionId);
    return state;
  };

  return {
    call,
    see,
    get,
    getBetweenTasks,
    signalOpen,

    getOpen,
    getNow: (executionId) => {
      watchers.forget(executionId);
      return get(executionId);
    },
    getOpenNow: (executionId) => {
      watchers.forget(executionId);
      return getOpen(executionId);
    },

    signalAndSee: async (executionId, send, isSeen) => {
      const sent = await signalOpen(executionId, async () => void (await call(send)));
      if (sent === 'closed') throw conflict(await get(executionId));
      const seen = await see(executionId, isSeen);
      if (isSeen(seen)) return seen;
      if (isOver(seen)) throw conflict(seen);
      return undefined;
    },
  };
}

/**
 * Past these nothing but an agent's last word and a cancel request is taken: Temporal takes 10,000 signals per run, and
 * ends one of 51,200 events or 50 MiB.
 */
const MAX_SIGNALS = 9_000;
const MAX_EVENTS = 45_000;
const MAX_SIGNAL_BYTES = 32 * 1024 * 1024;

/** The history of an execution has no room for more than its end. */
export function isFull({ history: { events, signals, signalBytes } }: ReadState): boolean {
  return signals >= MAX_SIGNALS || events >= MAX_EVENTS || signalBytes >= MAX_SIGNAL_BYTES;
}

/** Throws `too_many_reports` where it is. */
export function refuseIfFull(state: ReadState): void {
  const { executionId } = state;
  if (!isFull(state)) return;
  throw new ApiError('too_many_reports', 'the history of this execution is full; its outcome still counts', {
    executionId,
    retryAfterS: 60,
  });
}

/** @param executionId left out where what was asked for is no id: it is not echoed */
export function notFound(executionId?: string): ApiError {
  return new ApiError('execution_not_found', 'execution not found', executionId === undefined ? {} : { executionId });
}

export function conflict(state: ExecutionState): ApiError {
  return new ApiError('execution_finished', `execution is already ${state.status}`, { executionId: state.executionId });
}
