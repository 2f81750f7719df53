import { upsertMemo } from '@temporalio/workflow';
import { carryOn, isDueToCarryOn } from './carry-on.ts';
import { timeoutEnding, unansweredEnding } from './endings.ts';
import type { Answer, Ending, OpenWait, WaitRequest } from './execution.ts';
import { now } from './run.ts';
import type { Run } from './run.ts';
import { append, cancelledEnding } from './state.ts';
import { startTimer } from './timer.ts';
import type { Timer } from './timer.ts';
import { WAIT_MEMO } from './wait-memo.ts';

/**
 * Waits for what a person has to say, with no process, no slot and no call held for it.
 * @param wait what the agent wants to know; unset where the run before has written it down already
 * @returns the answer, or how the execution ends without one
 */
export async function waitForAnswer(run: Run, wait?: WaitRequest): Promise<Answer | Ending> {
  const { state, input, limit, wakeups, isCancelRequested } = run;
  if (wait) {
    const open = openWait(wait, state.turn);
    // Readers of the history find it there: what brought it may stand before signals that the workflow saw later.
    upsertMemo({ [WAIT_MEMO]: open });
    append(state, { kind: 'waiting', wait: open });
  }
  const { defaultAnswer, kind } = state.waiting ?? {};
  limit.arm();
  let expiry: Timer | undefined;
  let expiresAt: string | undefined;
  // A resume moves it: a pause holds the expiry too, for nobody can decide meanwhile.
  const hasMoved = () => !state.paused && state.waiting?.expiresAt !== expiresAt;
  const isDue = () => expiry?.isOver() === true && !state.paused && !hasMoved();
  const isDone = () => state.answer !== undefined || isDue() || isCancelRequested() || limit.hasFired();
  do {
    const { expiresAt: newest } = state.waiting ?? {};
    if (newest !== undefined && newest !== expiresAt) {
      expiry?.stop();
      expiresAt = newest;
      expiry = startTimer(Math.max(1, Date.parse(newest) - Date.now()), wakeups.wake);
    }
    await wakeups.until(() => isDone() || hasMoved() || isDueToCarryOn(run));
  } while (!isDone() && hasMoved());
  expiry?.stop();
  if (isCancelRequested()) return cancelledEnding(state);
  if (state.answer) return state.answer;
  if (limit.hasFired() && input.timeoutMs !== undefined) return timeoutEnding(input.timeoutMs);
  if (!isDue()) return carryOn(run, { isAccepted: false });
  if (defaultAnswer === undefined) return unansweredEnding();
  return kind === 'approval' && typeof defaultAnswer === 'string'
    ? { decision: defaultAnswer, isDefault: true }
    : { data: defaultAnswer, isDefault: true };
}

function openWait({ expiresInMs, ...wait }: WaitRequest, turn: number | undefined): OpenWait {
  const since = now();
  const expiresAt = expiresInMs === undefined ? undefined : new Date(Date.parse(since) + expiresInMs).toISOString();
  return { ...wait, ...(turn !== undefined && { turn }), since, ...(expiresAt !== undefined && { expiresAt }) };
}
