import { createHash } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { canonicalJson } from '../common/json.ts';
import { answerSignal, pauseSignal, resumeSignal, steerSignal } from '../workflows/contract.ts';
import type { Answer, PauseRequest, SteerMessage } from '../workflows/execution.ts';
import { MAX_OPEN_MESSAGES, openMessages } from '../workflows/messages.ts';
import type { TrackedMessage } from '../workflows/messages.ts';
import { ApiError } from './errors.ts';
import { invalid } from './json-body.ts';
import type { ReadState } from './pending.ts';
import { refuseIfFull } from './signalling.ts';
import type { Signalling } from './signalling.ts';

/** What persons do with a running execution. All of it is durable when it resolves, and stands in the log. */
export interface Steering {
  /** Says something to the agent. The same id again says nothing new. */
  steer: (executionId: string, message: SteerMessage) => Promise<TrackedMessage>;
  pause: (executionId: string, request: Omit<PauseRequest, 'at'>) => Promise<ReadState>;
  /** Lets go on what is paused; else answers what the agent waits for. */
  resume: (executionId: string, request: Omit<Said, 'decision'>) => Promise<ReadState>;
  /** Decides what the agent waits to have approved. */
  approve: (executionId: string, request: Said & { decision: string }) => Promise<ReadState>;
}

/** An answer of a person. With `turn` it is meant for the question of that turn alone. */
type Said = Omit<Answer, 'id' | 'isDefault'>;

export function createSteering({ getOpen, getOpenNow, signalAndSee }: Signalling, client: Client): Steering {
  const handleOf = (executionId: string) => client.workflow.getHandle(executionId);

  const isOn = ({ paused }: ReadState) => paused === undefined;

  /** Of several answers at once one is taken, and only who gave that one is told so. */
  async function answer(state: ReadState, said: Said): Promise<ReadState> {
    const { executionId, turn = 1 } = state;
    const id = idOf(said);
    const send = () => handleOf(executionId).signal(answerSignal, { ...said, id, turn });
    const isAnswered = ({ answered }: ReadState) => (answered?.turn ?? 0) >= turn;
    const seen = (await signalAndSee(executionId, send, isAnswered)) ?? notSeenAs(executionId);
    if (isOwn(seen, said, turn)) return seen;
    throw new ApiError('not_waiting', 'somebody else has answered first', { executionId });
  }

  return {
    steer: async (executionId, message) => {
      const { id, ifRev } = message;
      const state = await getOpen(executionId);
      const known = state.messages?.find((one) => one.id === id);
      if (known?.status === 'rejected') refuseStale(state, ifRev);
      if (known) return sameMessage(state, known, message);
      refuseIfFull(state);
      refuseStale(state, ifRev);
      if (openMessages(state.messages).length >= MAX_OPEN_MESSAGES)
        throw new ApiError('too_many_messages', `the agent has not dealt with ${MAX_OPEN_MESSAGES} messages yet`, {
          executionId,
          retryAfterS: 5,
        });
      const find = (now: ReadState) => now.messages?.find((one) => one.id === id);
      const seen = await signalAndSee(
        executionId,
        () => handleOf(executionId).signal(steerSignal, message),
        (now) => find(now) !== undefined,
      );
      const taken = seen && find(seen);
      if (!seen || !taken) throw notSeen(executionId);
      // The agent has patched its context in the meantime.
      if (taken.status === 'rejected' && ifRev !== undefined) refuseStale(seen, ifRev);
      return sameMessage(seen, taken, message);
    },

    pause: async (executionId, request) => {
      const state = await getOpen(executionId);
      if (state.paused) return state;
      refuseIfFull(state);
      const send = () => handleOf(executionId).signal(pauseSignal, { ...request, at: new Date().toISOString() });
      return (await signalAndSee(executionId, send, ({ paused }) => paused !== undefined)) ?? notSeenAs(executionId);
    },

    resume: async (executionId, request) => {
      const state = await getOpenNow(executionId);
      const { paused, waiting, status } = state;
      if (paused) {
        const { data, turn: _, ...who } = request;
        if (data !== undefined)
          throw new ApiError('not_waiting', 'the execution is paused: let it go on first', { executionId });
        const send = () => handleOf(executionId).signal(resumeSignal, who);
        return (await signalAndSee(executionId, send, isOn)) ?? notSeenAs(executionId);
      }
      if (isOwn(state, request)) return state;
      if (!isAsking(state))
        throw new ApiError('not_paused', `execution is ${status}: neither paused nor waiting for an answer`, {
          executionId,
        });
      if (waiting?.kind === 'approval')
        throw new ApiError(
          'not_paused',
          'the execution waits for an approval: decide it, or send its agent a message',
          { executionId },
        );
      refuseOtherTurn(state, request);
      return answer(state, request);
    },

    approve: async (executionId, request) => {
      const state = await getOpenNow(executionId);
      const { paused, waiting } = state;
      if (isOwn(state, request)) return state;
      if (waiting?.kind !== 'approval' || !isAsking(state))
        throw new ApiError('not_waiting', 'the execution does not wait for an approval', { executionId });
      if (paused) throw new ApiError('not_waiting', 'the execution is paused: let it go on first', { executionId });
      refuseOtherTurn(state, request);
      const { options = [] } = waiting;
      if (!options.includes(request.decision))
        throw invalid([{ path: '$.decision', message: `must be one of ${options.join(', ')}` }]);
      return answer(state, request);
    },
  };
}

function isAsking({ waiting, answer }: ReadState): boolean {
  return waiting !== undefined && answer === undefined;
}

/** Whether this is what was answered last: then it was sent again, for its answer got lost. */
function isOwn(state: ReadState, said: Said, turn = said.turn): boolean {
  const { answered } = state;
  if (!answered || isAsking(state)) return false;
  return answered.id === idOf(said) && (turn === undefined || answered.turn === turn);
}

function idOf(said: Said): string {
  const { turn: _, ...words } = said;
  return createHash('sha256').update(canonicalJson(words)).digest('base64url').slice(0, 22);
}

/** Who has seen an earlier question does not answer this one. */
function refuseOtherTurn({ executionId, turn = 1 }: ReadState, said: Said): void {
  if (said.turn === undefined || said.turn === turn) return;
  throw new ApiError('not_waiting', `the execution waits with the question of turn ${turn}`, { executionId });
}

/** A message that is based on what its sender no longer sees. */
function refuseStale({ executionId, context }: ReadState, ifRev: number | undefined): void {
  const rev = context?.rev ?? 0;
  if (ifRev === undefined || ifRev >= rev) return;
  throw new ApiError('context_changed', `the context is at revision ${rev}`, { executionId, members: { rev } });
}

function sameMessage({ executionId }: ReadState, known: TrackedMessage, message: SteerMessage): TrackedMessage {
  // Of one that is dealt with, the text is no longer there to compare with.
  if (known.message && canonicalJson(known.message) !== canonicalJson(message))
    throw new ApiError('message_id_reused', 'this id was used for another message', { executionId });
  return known;
}

function notSeen(executionId: string): ApiError {
  return new ApiError('temporal_unavailable', 'not known yet whether this was recorded; send it again', {
    executionId,
    retryAfterS: 2,
  });
}

function notSeenAs(executionId: string): never {
  throw notSeen(executionId);
}
