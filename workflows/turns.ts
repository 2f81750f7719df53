import { CancellationScope, isCancellation, patched, proxyActivities } from '@temporalio/workflow';
import { callUntilAnswered } from './agent-call.ts';
import { carryOn, isDueToCarryOn } from './carry-on.ts';
import type { Accepted, Activities, AgentAnswer, AgentCall, CancelNotice, Continuation, Holder } from './contract.ts';
import { endingOfFailure, endingOfHandedBack, lostEnding, timeoutEnding } from './endings.ts';
import type { Answer, Ending, Lane, SteerMessage, WaitRequest } from './execution.ts';
import { jsonBytes } from './json-size.ts';
import { openMessages } from './messages.ts';
import { releasePermit, requestPermit } from './permit.ts';
import { now } from './run.ts';
import type { Run } from './run.ts';
import { shielded } from './shielded.ts';
import type { Shielded } from './shielded.ts';
import { append, beginCall, cancelledEnding, turnOf } from './state.ts';
import type { ExecutionState } from './state.ts';
import { startTimer } from './timer.ts';
import { waitForAnswer } from './waiting.ts';

const AWAIT_INSTANCE_MS = 10_000;

type AskToCancel = (notice: Pick<CancelNotice, 'reason' | 'graceMs'>) => void;

/** How a turn of the agent ends: the execution is over, or somebody is to say something first. */
type TurnEnd = { kind: 'ending'; ending: Ending } | { kind: 'waiting'; wait: WaitRequest };

/**
 * Gives the agent the word until it has said its last one, or something else ends the execution.
 * @param askToCancel tells the agent to come to an end by itself
 */
export async function runToEnd(run: Run, askToCancel: AskToCancel): Promise<Ending> {
  const { state, input, limit, isControlled } = run;
  let accepted = input.carried?.isAccepted ? (input.carried.accepted ?? {}) : undefined;
  let answered: Answer | Ending | undefined = state.waiting ? await waitForAnswer(run) : input.carried?.answer;
  try {
    for (;;) {
      if (answered && 'status' in answered) return answered;
      const end = await takeTurn(run, { answer: answered, accepted }, askToCancel);
      if (end.kind === 'ending') return end.ending;
      // Who waits for a person is not with its agent.
      if (state.permit) void releasePermit(run);
      answered = await waitForAnswer(run, end.wait);
      accepted = undefined;
    }
  } finally {
    // The end of the workflow ends it too, and costs nothing; a delivery may take long.
    if (state.webhook || !isControlled) limit.disarm();
  }
}

interface Turn {
  /** What it begins with, where it is not the first. */
  answer: Answer | undefined;
  /** The agent has said 202 in it, in the Temporal run before. */
  accepted: Accepted | undefined;
}

/** A call of the agent that is on its way. */
interface Call {
  settled: () => { answer: AgentAnswer } | { error: unknown } | undefined;
  /** Resolves when it has settled for it. */
  cut: () => Promise<void>;
}

async function takeTurn(run: Run, { answer, accepted }: Turn, askToCancel: AskToCancel): Promise<TurnEnd> {
  let begin: CallBegin = { answer, attemptsBefore: 0 };
  let taken = accepted;
  for (;;) {
    if (!taken) {
      const called = await callAgent(run, begin, askToCancel);
      if (called.kind !== 'accepted') return called;
      taken = called;
    }
    const end = await untilTurnEnds(run, taken, askToCancel);
    if (end) return end;
    const { attempts = 1, holder } = taken;
    begin = { answer, attemptsBefore: attempts, ...(holder && { handedOverFrom: holder.instanceId }) };
    taken = undefined;
  }
}

/** @returns undefined when the process that has the call is gone */
async function untilTurnEnds(run: Run, accepted: Accepted, askToCancel: AskToCancel): Promise<TurnEnd | undefined> {
  const { state, input, limit, wakeups, isCancelRequested, isControlled } = run;
  if (state.callback) return endOfCallback(run);
  limit.arm();
  const isInterrupted = () => state.callback !== undefined || limit.hasFired() || isCancelRequested();
  const isLost = () => isHolderLost(state, accepted.holder);
  await wakeups.until(() => isInterrupted() || isLost() || isDueToCarryOn(run));
  if (state.callback) return endOfCallback(run);
  if (isCancelRequested()) return isControlled ? cancelled(run, undefined, askToCancel) : ended(cancelledEnding(state));
  if (limit.hasFired() && input.timeoutMs !== undefined) return ended(timeoutEnding(input.timeoutMs));
  return isLost() ? undefined : carryOn(run, { isAccepted: true, accepted });
}

function isHolderLost({ lostInstances = [] }: ExecutionState, holder: Holder | undefined): boolean {
  return lostInstances.some(
    (lost) => lost.instanceId === holder?.instanceId && lost.registrations >= holder.registrations,
  );
}

/** What a call is made with. */
interface CallBegin extends Pick<AgentCall, 'handedOverFrom'> {
  /** What the turn begins with, where it is not the first. */
  answer: Answer | undefined;
  /** Calls of this turn so far. */
  attemptsBefore: number;
}

/**
 * Calls the agent, and again where the worker leaves that to us: the execution was held, or had little time left.
 * @returns `accepted` when the turn goes on without the call
 */
async function callAgent(
  run: Run,
  begin: CallBegin,
  askToCancel: AskToCancel,
): Promise<TurnEnd | ({ kind: 'accepted' } & Accepted)> {
  const { state, input, limit, wakeups, isCancelRequested, isControlled } = run;
  const isTimeUp = () => isControlled && limit.hasFired();
  const isCalledBack = () => state.callback !== undefined;
  const { answer, handedOverFrom } = begin;
  let { attemptsBefore } = begin;
  let isFirstTask =
    answer === undefined && handedOverFrom === undefined && !input.carried && !state.paused && !input.policy.permits;
  if (handedOverFrom !== undefined && attemptsBefore >= input.policy.agent.maximumAttempts) return ended(lostEnding());
  if (input.policy.permits && !state.permit) await requestPermit(run);
  for (;;) {
    const early = await untilCallable(run, answer);
    if (early) return early;
    const call = beginAgentCall(run, { ...begin, attemptsBefore }, isFirstTask);
    isFirstTask = false;
    const isCancelDue = () => isControlled && isCancelRequested();
    await wakeups.until(() => call.settled() !== undefined || isCalledBack() || isTimeUp() || isCancelDue());
    // A callback may overtake the acknowledgement, or outlive the worker that was waiting for it.
    if (isCalledBack()) {
      await call.cut();
      if (isControlled || !isCancelRequested()) return { kind: 'accepted' };
    }
    const settled = call.settled();
    if (!settled && isCancelDue()) return cancelled(run, call, askToCancel);
    if (!settled && input.timeoutMs !== undefined) {
      await call.cut();
      return ended(timeoutEnding(input.timeoutMs));
    }
    if (!settled || 'error' in settled) return ended(endingOfFailedCall(run, settled?.error));
    const said = settled.answer;
    if (said.kind === 'result') return ended({ status: 'succeeded', result: said.result });
    if (said.kind !== 'handed-back') return said;
    const ending = endingOfHandedBack(said, input.policy.agent.maximumAttempts, limit.remainingMs());
    if (ending) return ended(ending);
    attemptsBefore = said.attempts;
    if (said.isUnserved) await untilServed(run);
    if (said.retryDelayMs !== undefined) await pauseFor(run, said.retryDelayMs);
  }
}

function endingOfFailedCall(run: Run, err: unknown): Ending {
  const { state, input, limit, isControlled } = run;
  if (isCallbackDecisive(run)) {
    const end = endOfCallback(run);
    if (end.kind === 'ending') return end.ending;
  }
  if (isCancellation(err)) return cancelledEnding(state);
  const hasPassed = () => limit.hasPassed() && (isControlled || patched('limit-passed-before-retry'));
  return endingOfFailure(err, input.timeoutMs, hasPassed);
}

/** The agent was told that its word is recorded: a cancel or a deadline that the same task brings cannot undo that. */
function isCallbackDecisive({ state, isControlled }: Run): boolean {
  return state.callback !== undefined && (isControlled || patched('acknowledged-callback-decides'));
}

/** Waits while the execution is held. @returns how it ends, if it does so before the agent was called */
async function untilCallable(run: Run, answer: Answer | undefined): Promise<TurnEnd | undefined> {
  const { state, limit, wakeups, isCancelRequested, input } = run;
  const isOver = () => state.callback !== undefined || isCancelRequested() || limit.hasPassed();
  const isHeld = () => state.paused !== undefined || (state.permit && !state.permit.isGranted) === true;
  if (isHeld()) {
    if (state.permit) limit.arm();
    await wakeups.until(() => !isHeld() || isOver() || isDueToCarryOn(run));
  }
  if (isCallbackDecisive(run)) return endOfCallback(run);
  if (isCancelRequested()) return ended(cancelledEnding(state));
  if (limit.hasPassed() && input.timeoutMs !== undefined) return ended(timeoutEnding(input.timeoutMs));
  return isHeld() ? carryOn(run, { isAccepted: false, ...(answer && { answer }) }) : undefined;
}

function beginAgentCall(run: Run, { answer, attemptsBefore, handedOverFrom }: CallBegin, isFirstTask: boolean): Call {
  const { state, input, limit, wakeups, isCancelRequested, isControlled, signalCount } = run;
  const { executionId, target, runId, parentExecutionId, sessionId, actorId, checkpoint } = state;
  const { attemptTimeoutMs } = input.policy.agent;
  // What it had put by when the call before came to nothing it gets back.
  const goesOn = answer !== undefined || (attemptsBefore > 0 && checkpoint !== undefined);
  const continuation: Continuation | undefined = goesOn
    ? {
        turn: turnOf(state),
        ...(checkpoint !== undefined && { checkpoint }),
        ...(answer && { answer }),
        messages: messagesThatFit(state, [input.input, checkpoint, answer]),
      }
    : undefined;
  const call: AgentCall = {
    executionId,
    target,
    input: input.input,
    runId,
    ...(parentExecutionId !== undefined && { parentExecutionId }),
    ...(sessionId !== undefined && { sessionId }),
    ...(actorId !== undefined && { actorId }),
    ...(attemptTimeoutMs !== undefined && { timeoutMs: attemptTimeoutMs }),
    ...(attemptsBefore > 0 && { attemptsBefore }),
    ...(continuation && { continuation }),
    ...(handedOverFrom !== undefined && { handedOverFrom }),
  };
  const onLane = (lane: Lane) => {
    if (isControlled && lane === 'activity') limit.arm();
    beginCall(state, { ...call, at: now(), lane });
  };
  const isHeld = () => isControlled && (state.paused !== undefined || isCancelRequested());
  const progress = {
    isFirstTask,
    remainingMs: limit.remainingMs,
    onLane,
    signalCount,
    isLimitKept: isControlled,
    isHeld,
  };
  const start = () => callUntilAnswered(call, input.policy.agent, progress);
  const { done, cancel } = isControlled ? shielded(start) : inOwnScope(start);
  let settled: ReturnType<Call['settled']>;
  const settle = (how: typeof settled) => {
    settled = how;
    wakeups.wake();
  };
  void done.then(
    (said) => settle({ answer: said }),
    (error: unknown) => settle({ error }),
  );
  return {
    settled: () => settled,
    cut: async () => {
      cancel();
      await wakeups.until(() => settled !== undefined);
    },
  };
}

/** Temporal takes 2 MiB. The agent gets the others by its next callback. */
const MAX_CALL_BYTES = 1_900_000;

function messagesThatFit({ messages }: ExecutionState, besides: unknown[]): SteerMessage[] {
  let bytes = jsonBytes(besides);
  return openMessages(messages).flatMap(({ message }) => {
    bytes += jsonBytes(message);
    return message && bytes <= MAX_CALL_BYTES ? [message] : [];
  });
}

/** Where a cancel request of the workflow reaches it too. */
function inOwnScope<T>(fn: () => Promise<T>): Shielded<T> {
  const scope = new CancellationScope();
  return { done: scope.run(fn), cancel: () => scope.cancel() };
}

/**
 * Lets the agent come to an end by itself, and what it says until then counts: it may just have finished. Then it is
 * cut off.
 */
async function cancelled(run: Run, call: Call | undefined, askToCancel: AskToCancel): Promise<TurnEnd> {
  const { state, input, wakeups } = run;
  const graceMs = state.cancelGraceMs ?? input.policy.cancelGraceMs ?? 0;
  if (graceMs > 0) {
    const reason = state.cancelReason;
    const notice = { ...(reason !== undefined && { reason }), graceMs };
    append(state, { kind: 'cancelling', ...notice });
    askToCancel(notice);
    const grace = startTimer(graceMs, wakeups.wake);
    await wakeups.until(
      () =>
        grace.isOver() || call?.settled() !== undefined || state.callback !== undefined || state.cancelGraceMs === 0,
    );
    grace.stop();
  }
  const settled = call?.settled();
  if (call && !settled) await call.cut();
  const lastWord = state.callback ? endOfCallback(run) : undefined;
  // That it was cancelled is as it was asked for, in the words of who asked.
  if (lastWord?.kind === 'ending' && lastWord.ending.status !== 'cancelled') return lastWord;
  if (settled && 'answer' in settled && settled.answer.kind === 'result')
    return ended({ status: 'succeeded', result: settled.answer.result });
  return ended(cancelledEnding(state));
}

/** Until somebody is there to be called, or need not be. */
async function untilServed(run: Run): Promise<void> {
  const { state, limit, wakeups, isCancelRequested } = run;
  const { awaitInstance } = proxyActivities<Activities>({
    startToCloseTimeout: AWAIT_INSTANCE_MS,
    retry: { initialInterval: 1_000, backoffCoefficient: 1 },
  });
  const { done, cancel } = shielded(() => awaitInstance({ node: state.target.node }));
  let isOver = false;
  const over = () => {
    isOver = true;
    wakeups.wake();
  };
  void done.then(over, over);
  limit.arm();
  const isNeedless = () =>
    state.callback !== undefined || limit.hasFired() || isCancelRequested() || state.paused !== undefined;
  await wakeups.until(() => isOver || isNeedless());
  cancel();
}

async function pauseFor(run: Run, ms: number): Promise<void> {
  const { state, limit, wakeups, isCancelRequested } = run;
  const pause = startTimer(ms, wakeups.wake);
  await wakeups.until(() => pause.isOver() || state.callback !== undefined || limit.hasFired() || isCancelRequested());
  pause.stop();
}

function endOfCallback({ state }: Run): TurnEnd {
  if (!state.callback) throw new Error('there was no callback');
  const { callbackId: _, turn: __, ...said } = state.callback;
  if (said.status !== 'waiting') return ended(said);
  const { status: ___, ...wait } = said;
  return { kind: 'waiting', wait };
}

function ended(ending: Ending): TurnEnd {
  return { kind: 'ending', ending };
}
