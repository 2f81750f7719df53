import { randomBytes, randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { canonicalJson } from '../common/json.ts';
import { agentCallbackSignal, agentReportSignal } from '../workflows/contract.ts';
import type { AgentCallback, AgentReport, WaitRequest } from '../workflows/execution.ts';
import { applyPatch, PatchFlaw } from '../workflows/json-patch.ts';
import type { PatchOperation } from '../workflows/json-patch.ts';
import { openMessages } from '../workflows/messages.ts';
import { EMPTY_CONTEXT } from '../workflows/agent-reports.ts';
import { isOver, turnOf } from '../workflows/state.ts';
import type { ExecutionState } from '../workflows/state.ts';
import { ApiError } from './errors.ts';
import { invalid } from './json-body.ts';
import type { ReadState } from './pending.ts';
import { createReportQueue, pauseAfter } from './report-queue.ts';
import { isFull, refuseIfFull } from './signalling.ts';
import type { Signalling } from './signalling.ts';

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** The last word of an agent in one of its turns. */
export type LastWord = DistributiveOmit<AgentCallback, 'callbackId' | 'turn' | 'reports'>;

/** What agents say by callbacks. */
export interface AgentWords {
  /** Resolves when they are recorded, those that were not known before; none at all asks only what there is to know. */
  report: (executionId: string, reports: AgentReport[]) => Promise<ReadState>;
  /**
   * Records how an agent ends its turn. The first such word counts; the same word again is no news.
   * @param reports what is to be recorded before it
   */
  callback: (
    executionId: string,
    word: LastWord,
    options?: { turn?: number | undefined; reports?: AgentReport[] },
  ) => Promise<ReadState>;
}

/** Of one request: numbers may have become longer than they came, and Temporal takes 2 MiB. */
const MAX_SIGNAL_BYTES = 1024 * 1024;

export function createAgentWords(signalling: Signalling, client: Client): AgentWords {
  const { call, get, getBetweenTasks, getNow, getOpen, getOpenNow, see, signalAndSee, signalOpen } = signalling;
  const queue = createReportQueue((executionId, reports) =>
    call(() => client.workflow.getHandle(executionId).signal(agentReportSignal, reports)),
  );

  async function report(executionId: string, reports: AgentReport[]): Promise<ReadState> {
    const state = await getOpen(executionId);
    const news = reports.filter(({ id }) => id === undefined || !state.eventIds?.includes(id));
    if (news.length === 0) return state;
    refuseIfFull(state);
    if (Buffer.byteLength(JSON.stringify(news)) > MAX_SIGNAL_BYTES)
      throw new ApiError(
        'body_too_large',
        `written out as plain JSON the events are larger than ${MAX_SIGNAL_BYTES} bytes: send them in several requests`,
        { executionId },
      );
    await refuseFlaws(state, news);
    // What has no id of the agent's gets one: it tells whether a report came before the end or after it.
    const prefix = randomBytes(6).toString('base64url');
    const marked = news.map((one, i) => ({ ...one, id: one.id ?? `${prefix}.${i}` }));
    const isThere = ({ eventIds = [] }: ExecutionState) => marked.every(({ id }) => eventIds.includes(id));
    const { events } = state.history;
    const seen = await signalAndSee(executionId, () => queue.add(executionId, marked, pauseAfter(events)), isThere);
    // Recorded in any case; the directions of now are what the agent needs.
    return seen ?? getNow(executionId);
  }

  /** What would come to nothing is refused, as far as it can be seen by now. */
  async function refuseFlaws(state: ReadState, news: AgentReport[]): Promise<void> {
    try {
      findFlaw(state, news);
    } catch {
      // The agent may have a message or a revision from another API process, which is ahead of what is known here.
      findFlaw(await getOpenNow(state.executionId), news);
    }
  }

  /** An agent gets its messages only when it is recorded that it does; else with its next callback. */
  async function withDeliveries(state: ReadState): Promise<ReadState> {
    const undelivered = openMessages(state.messages).filter(({ status }) => status === 'accepted');
    if (undelivered.length === 0 || isOver(state) || isFull(state)) return state;
    const receipts = undelivered.map(({ id }): AgentReport => {
      return { type: 'other', name: 'steer.delivered', data: { message_id: id } };
    });
    return report(state.executionId, receipts);
  }

  async function endTurn(
    executionId: string,
    word: LastWord,
    turn: number,
    reports: AgentReport[],
  ): Promise<ReadState> {
    const callbackId = randomUUID();
    const callback: AgentCallback = { ...word, callbackId, turn, ...(reports.length > 0 && { reports }) };
    const send = () => client.workflow.getHandle(executionId).signal(agentCallbackSignal, callback);
    const isEnded = (now: ReadState) => wordOf(now) !== undefined || turn < turnOf(now);
    const sent = await signalOpen(executionId, () => call(send));
    const after = sent === 'closed' ? await get(executionId) : await see(executionId, isEnded);
    if (!isEnded(after))
      // Temporal has it, but keeps it back while a task is open, as on a worker that has just died: whether it is the
      // first word is not known yet, and two that differ must not both be told yes.
      throw new ApiError('temporal_unavailable', 'not known yet whether this callback counts; send it again', {
        executionId,
        retryAfterS: 2,
      });
    return sameWordOrConflict(after, word, turn);
  }

  return {
    report: async (executionId, reports) => withDeliveries(await report(executionId, reports)),

    callback: async (executionId, word, { turn = 1, reports = [] } = {}) => {
      const before = await getBetweenTasks(executionId);
      if (wordOf(before) || turn < turnOf(before)) return sameWordOrConflict(before, word, turn);
      if (turn > begunTurnOf(before) && turn > begunTurnOf(await getNow(executionId)))
        throw new ApiError('turn_not_begun', `turn ${turn} has not begun`, { executionId });
      return endTurn(executionId, word, turn, reports);
    },
  };
}

/** The newest turn that the agent was given. */
function begunTurnOf({ turn = 1 }: ReadState): number {
  return turn;
}

/** What the agent has said last in this turn, or what became of the execution. */
function wordOf({ outcome, callback }: ReadState): LastWord | undefined {
  return outcome ?? callback;
}

/** Each may look at a megabyte, and is folded by every reader: that many take a reader a second at most. */
const MAX_PATCHES = 50;

/** Throws for the first one that would come to nothing. */
function findFlaw(state: ReadState, reports: AgentReport[]): void {
  const { executionId } = state;
  const patches = reports.filter((report) => report.type === 'other' && report.name === 'context.patch');
  if (patches.length > MAX_PATCHES)
    throw invalid([{ path: '$.events', message: `up to ${MAX_PATCHES} context patches in one request` }]);
  let context = state.context ?? EMPTY_CONTEXT;
  for (const report of reports) {
    if (report.type !== 'other') continue;
    if (report.name.startsWith('steer.')) {
      const { message_id: id } = report.data;
      if (!state.messages?.some((message) => message.id === id))
        throw invalid([{ path: '$.message_id', message: 'no such message' }]);
    }
    if (report.name !== 'context.patch') continue;
    const { patch, rev } = report.data as unknown as { patch: PatchOperation[]; rev?: number };
    if (rev !== undefined && rev !== context.rev + 1)
      throw new ApiError('context_changed', `the context is at revision ${context.rev}`, {
        executionId,
        members: { rev: context.rev },
      });
    try {
      context = { ...applyPatch(context, patch), rev: context.rev + 1 };
    } catch (err) {
      if (!(err instanceof PatchFlaw)) throw err;
      throw new ApiError('patch_not_applicable', `operation ${err.operation}: ${err.message}`, { executionId });
    }
  }
}

/**
 * The same end of a turn told twice is no news. Only a result can differ in a way that matters: then one of the two is
 * lost. Of a turn that a question has ended, nothing but that is known.
 */
function sameWordOrConflict(state: ReadState, word: LastWord, turn: number): ReadState {
  const { executionId } = state;
  const current = turnOf(state);
  const isPast = turn < current;
  const asked = turn === current - 1 && state.waiting ? { status: 'waiting' as const, ...state.waiting } : undefined;
  const first = state.outcome ?? (isPast ? asked : state.callback);
  if (word.status === 'waiting' && (first?.status === 'waiting' ? isSameQuestion(first, word) : isPast)) return state;
  if (!first || (isPast && word.status !== 'waiting'))
    throw new ApiError('turn_over', `turn ${turn} is over, the agent has the word in turn ${current}`, { executionId });
  const sameResult =
    first.status !== 'succeeded' ||
    word.status !== 'succeeded' ||
    canonicalJson(first.result) === canonicalJson(word.result);
  if (first.status === word.status && sameResult && word.status !== 'waiting') return state;
  const how = first.status === word.status ? 'with another result' : `not ${word.status}`;
  const message =
    first.status === 'waiting'
      ? 'the agent has already ended this turn with another question'
      : `execution has already ended as ${first.status}, ${how}`;
  throw new ApiError('conflicting_callback', message, { executionId });
}

function isSameQuestion(one: WaitRequest, other: WaitRequest): boolean {
  const words = ({ kind, text, options }: WaitRequest) => canonicalJson([kind, text, options ?? null]);
  return words(one) === words(other);
}
