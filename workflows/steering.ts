/** The part of the reducer that folds in what persons do with an execution. */
import type { Answer, ExecutionStatus, PauseRequest, ResumeRequest, SteerMessage } from './execution.ts';
import { afterReceipt, bounded } from './messages.ts';
import type { Receipt, TrackedMessage } from './messages.ts';
import type { ExecutionState, Numbering } from './state.ts';

export function applyMessage(state: ExecutionState, message: SteerMessage, number: Numbering): void {
  const { id, ifRev } = message;
  if (state.messages?.some((known) => known.id === id)) return;
  const rev = state.context?.rev ?? 0;
  const isStale = ifRev !== undefined && ifRev < rev;
  const tracked: TrackedMessage = {
    id,
    status: isStale ? 'rejected' : 'accepted',
    sequence: state.sequence + 1,
    ...(!isStale && { message }),
  };
  state.messages = bounded([...(state.messages ?? []), tracked]);
  if (isStale) {
    const reason = `the context is at revision ${rev}`;
    return number({ kind: 'receipt', receipt: { id, status: 'rejected', reason } });
  }
  number({ kind: 'message', message });
  // Whoever speaks to an execution that waits makes it go on.
  if (!state.waiting || state.answer) return;
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

export function applyResume(state: ExecutionState, who: ResumeRequest, number: Numbering): void {
  if (!state.paused) return;
  delete state.paused;
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

function takeAnswer(state: ExecutionState, answer: Answer): void {
  const { turn = 1 } = state;
  const { id } = answer;
  state.answer = answer;
  state.answered = { turn, ...(id !== undefined && { id }) };
  state.status = openStatusOf(state);
}

/** The status of an execution that is not over, as far as we know better than its agent. */
export function openStatusOf({ paused, waiting, answer, startedAt }: ExecutionState): ExecutionStatus {
  if (paused) return 'paused';
  if (waiting && !answer) return 'waiting';
  return startedAt === undefined ? 'queued' : 'running';
}
