/** The part of the reducer that folds in what persons do with an execution. */
import type { Answer, ExecutionStatus, PauseRequest, ResumeRequest, SteerMessage } from './execution.ts';
import { afterReceipt, bounded, isRoomFor, MAX_OPEN_MESSAGES } from './messages.ts';
import type { Receipt, TrackedMessage } from './messages.ts';
import type { ExecutionState, Numbering } from './state.ts';

export const TOO_MANY_MESSAGES = `the agent has not dealt with ${MAX_OPEN_MESSAGES} messages yet, or with long ones`;

export function applyMessage(state: ExecutionState, message: SteerMessage, number: Numbering): void {
  const { id, ifRev, digest } = message;
  const others = state.messages?.filter((known) => known.id !== id || !known.refusal) ?? [];
  if (others.some((known) => known.id === id)) return;
  const rev = state.context?.rev ?? 0;
  const refusal =
    ifRev !== undefined && ifRev < rev ? 'stale' : isRoomFor(state.messages, message) ? undefined : 'full';
  const tracked: TrackedMessage = {
    id,
    status: refusal ? 'rejected' : 'accepted',
    sequence: state.sequence + 1,
    ...(refusal ? { refusal } : { message }),
    ...(digest !== undefined && { digest }),
  };
  state.messages = bounded([...others, tracked]);
  if (refusal) {
    const reason = refusal === 'stale' ? `the context is at revision ${rev}` : TOO_MANY_MESSAGES;
    return number({ kind: 'receipt', receipt: { id, status: 'rejected', reason } });
  }
  number({ kind: 'message', message });
  // Whoever speaks to an execution that waits makes it go on, unless it is held.
  if (!state.waiting || state.answer || state.paused) return;
  takeAnswer(state, {});
}

export function applyReceipt(state: ExecutionState, receipt: Receipt, number: Numbering): void {
  const messages = afterReceipt(state.messages, receipt);
  if (!messages) return;
  state.messages = messages;
  number({ kind: 'receipt', receipt });
}

export function applyPause(state: ExecutionState, { at, ...who }: PauseRequest, number: Numbering): void {
  if (state.paused) return;
  state.paused = { since: at, ...who };
  state.status = openStatusOf(state);
  number({ kind: 'paused', ...who });
}

export function applyResume(state: ExecutionState, { at, ...who }: ResumeRequest, number: Numbering): void {
  const { paused, waiting } = state;
  if (!paused) return;
  delete state.paused;
  // The time in which nobody could answer is given back.
  if (waiting?.expiresAt !== undefined && at !== undefined) {
    const heldMs = Math.max(0, Date.parse(at) - Math.max(Date.parse(paused.since), Date.parse(waiting.since)));
    state.waiting = { ...waiting, expiresAt: new Date(Date.parse(waiting.expiresAt) + heldMs).toISOString() };
  }
  state.status = openStatusOf(state);
  number({ kind: 'resumed', ...who });
}

export function applyAnswer(state: ExecutionState, answer: Answer, number: Numbering): void {
  if (!state.waiting || state.answer) return;
  // It was meant for an earlier question, for which another answer was quicker.
  if (answer.turn !== undefined && answer.turn !== (state.turn ?? 1)) return;
  takeAnswer(state, answer);
  number({ kind: 'answered', answer });
}

/** Of how many an answer that is sent again is known. */
const MAX_ANSWERED = 20;

function takeAnswer(state: ExecutionState, answer: Answer): void {
  const { turn = 1 } = state;
  const { id } = answer;
  state.answer = answer;
  state.answered = [...(state.answered ?? []), { turn, ...(id !== undefined && { id }) }].slice(-MAX_ANSWERED);
  state.status = openStatusOf(state);
}

/** The status of an execution that is not over, as far as we know better than its agent. */
export function openStatusOf({ paused, waiting, answer, startedAt }: ExecutionState): ExecutionStatus {
  if (paused) return 'paused';
  if (waiting && !answer) return 'waiting';
  return startedAt === undefined ? 'queued' : 'running';
}
