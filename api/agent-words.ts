import { randomBytes, randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { canonicalJson } from '../common/json.ts';
import { agentCallbackSignal, agentReportSignal } from '../workflows/contract.ts';
import type { AgentCallback, AgentReport } from '../workflows/execution.ts';
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
export type LastWord = DistributiveOmit<AgentCallback, 'callbackId' | 'turn'>;

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

export function createAgentWords(signalling: Signalling, client: Client): AgentWords {
  const { call, get, getBetweenTasks, getOpen, getOpenNow, see, signalAndSee, signalOpen } = signalling;
  const queue = createReportQueue((executionId, reports) =>
    call(() => client.workflow.getHandle(executionId).signal(agentReportSignal, reports)),
  );

  async function report(executionId: string, reports: AgentReport[]): Promise<ReadState> {
    const state = await getOpen(executionId);
    const news = reports.filter(({ id }) => id === undefined || !state.eventIds?.includes(id));
    if (news.length === 0) return state;
    refuseIfFull(state);
    await refuseFlaws(state, news);
    // What has no id of the agent's gets one: it tells whether a report came before the end or after it.
    const prefix = randomBytes(6).toString('base64url');
    const marked = news.map((one, i) => ({ ...one, id: one.id ?? `${prefix}.${i}` }));
    const isThere = ({ eventIds = [] }: ExecutionState) => marked.every(({ id }) => eventIds.includes(id));
    const { events } = state.history;
    return (
      (await signalAndSee(executionId, () => queue.add(executionId, marked, pauseAfter(events)), isThere)) ?? state
    );
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

  async function endTurn(executionId: string, word: LastWord, turn: number): Promise<ReadState> {
    const callbackId = randomUUID();
    const callback: AgentCallback = { ...word, callbackId, turn };
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
      if (reports.length > 0) await report(executionId, reports);
      return endTurn(executionId, word, turn);
    },
  };
}

/** What the agent has said last in this turn, or what became of the execution. */
function wordOf({ outcome, callback }: ReadState): LastWord | undefined {
  return outcome ?? callback;
}

/** Throws for the first one that would come to nothing. */
function findFlaw(state: ReadState, reports: AgentReport[]): void {
  const { executionId } = state;
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
  if (turn < current && word.status === 'waiting') return state;
  const first = state.outcome ?? (turn < current ? undefined : state.callback);
  if (!first)
    throw new ApiError('turn_over', `turn ${turn} is over, the agent has the word in turn ${current}`, { executionId });
  const sameResult =
    first.status !== 'succeeded' ||
    word.status !== 'succeeded' ||
    canonicalJson(first.result) === canonicalJson(word.result);
  if (first.status === word.status && sameResult) return state;
  const how = first.status === word.status ? 'with another result' : `not ${word.status}`;
  throw new ApiError('conflicting_callback', `execution has already ended as ${first.status}, ${how}`, { executionId });
}
