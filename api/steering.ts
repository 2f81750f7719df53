import { createHash } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { canonicalJson } from '../common/json.ts';
import { answerSignal, pauseSignal, resumeSignal, steerSignal } from '../workflows/contract.ts';
import type { Answer, PauseRequest, SteerMessage } from '../workflows/execution.ts';
import { isRoomFor } from '../workflows/messages.ts';
import { TOO_MANY_MESSAGES } from '../workflows/steering.ts';
import type { TrackedMessage } from '../workflows/messages.ts';
import { ApiError, notSeen } from './errors.ts';
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
    const isAnswered = ({ answered }: ReadState) => (answered?.at(-1)?.turn ?? 0) >= turn;
    const seen = (await signalAndSee(executionId, send, isAnswered)) ?? notSeenAs(executionId);
    if (isOwn(seen, said, turn)) return seen;
    throw new ApiError('not_waiting', 'somebody else has answered first', { executionId });
  }

  return {
    steer: async (executionId, message) => {
      const { id, ifRev } = message;
      const digest = digestOf(message);
      const state = await getOpen(executionId);
      const find = (now: ReadState) => now.messages?.find((one) => one.id === id);
      const known = find(state);
      if (known && !known.refusal) return sameMessage(state, known, digest);
      refuseIfFull(state);
      refuseStale(state, ifRev);
      if (!isRoomFor(state.messages, message)) throw tooManyMessages(executionId);
      if (isAsking(state) && state.paused)
        throw new ApiError('not_waiting', 'the execution is paused, and its agent waits: let it go on first', {
          executionId,
        });
      const isTaken = (now: ReadState) => {
        const one = find(now);
        // One that was refused before may have the same id.
        return one !== undefined && (!one.refusal || one.digest === digest);
      };
      const send = () => handleOf(executionId).signal(steerSignal, { ...message, digest });
      const seen = await signalAndSee(executionId, send, isTaken);
      const taken = seen && find(seen);
      if (!seen || !taken) throw notSeen(executionId);
      // The agent has patched its context in the meantime, or others have spoken to it.
      if (taken.refusal === 'stale') refuseStale(seen, ifRev);
      if (taken.refusal) throw tooManyMessages(executionId);
      return sameMessage(seen, taken, digest);
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
        const send = () => handleOf(executionId).signal(resumeSignal, { ...who, at: new Date().toISOString() });
        return (await signalAndSee(executionId, send, isOn)) ?? notSeenAs(executionId);
      }
      if (isOwn(state, request)) return state;
      if (!isAsking(state))
        throw new ApiError(
          'not_paused',
          `execution is ${status}: nobody has paused it, and its agent has ended no turn with a question`,
          {
            executionId,
          },
        );
      if (waiting?.kind === 'approval')
        throw new ApiError(
          'not_paused',
          'the execution waits for an approval: decide it, or send its agent a message',
          { executionId },
        );
      if (request.data === undefined && request.turn === undefined)
        throw new ApiError(
          'not_paused',
          'the agent waits for an answer: send data, or turn alone to let it go on without one',
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

/** Whether this was the answer: then it was sent again, for what came of it got lost. Without a turn: the last answer. */
function isOwn(state: ReadState, said: Said, turn = said.turn): boolean {
  const { answered = [] } = state;
  if (turn === undefined) return !isAsking(state) && answered.at(-1)?.id === idOf(said);
  return answered.some((one) => one.turn === turn && one.id === idOf(said));
}

function idOf(said: Said): string {
  const { turn: _, ...words } = said;
  return digestOf(words);
}

function digestOf(words: object): string {
  return createHash('sha256').update(canonicalJson(words)).digest('base64url').slice(0, 22);
}

/** Who has seen an earlier question does not answer this one. */
function refuseOtherTurn({ executionId, turn = 1, answered }: ReadState, said: Said): void {
  const last = answered?.at(-1);
  if (said.turn === undefined && last?.turn === turn - 1 && last.id === idOf(said))
    throw new ApiError(
      'not_waiting',
      `so the question of turn ${turn - 1} was answered: to answer the one of turn ${turn} alike, send turn`,
      { executionId },
    );
  if (said.turn === undefined || said.turn === turn) return;
  throw new ApiError('not_waiting', `the execution waits with the question of turn ${turn}`, { executionId });
}

/** A message that is based on what its sender no longer sees. */
function refuseStale({ executionId, context }: ReadState, ifRev: number | undefined): void {
  const rev = context?.rev ?? 0;
  if (ifRev === undefined || ifRev >= rev) return;
  throw new ApiError('context_changed', `the context is at revision ${rev}`, { executionId, members: { rev } });
}

function sameMessage({ executionId }: ReadState, known: TrackedMessage, digest: string): TrackedMessage {
  if (known.digest !== undefined && known.digest !== digest)
    throw new ApiError('message_id_reused', 'this id was used for another message', { executionId });
  return known;
}

function tooManyMessages(executionId: string): ApiError {
  return new ApiError('too_many_messages', TOO_MANY_MESSAGES, { executionId, retryAfterS: 5 });
}

function notSeenAs(executionId: string): never {
  throw notSeen(executionId);
}
