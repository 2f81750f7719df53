import {
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  condition,
  isCancellation,
  patched,
  proxyActivities,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { SignalDefinition } from '@temporalio/workflow';
import {
  agentCallbackSignal,
  agentReportSignal,
  cancelReasonSignal,
  SEARCH_ATTRIBUTES,
  stateQuery,
  webhookAttemptSignal,
} from './contract.ts';
import { callUntilAnswered } from './agent-call.ts';
import type { Activities, AgentAnswer, AgentCall, ExecuteTargetInput } from './contract.ts';
import { deliver } from './delivery.ts';
import { endingOfFailure, FAILURE_TYPES, timeoutEnding } from './endings.ts';
import { isDelivered } from './execution.ts';
import type { Ending, Lane, Outcome } from './execution.ts';
import { append, cancelledEnding, cancelledError, initialState, outcomeOf } from './state.ts';
import type { ExecutionState } from './state.ts';

const TELL_AGENT_TIMEOUT_MS = 5_000;

/**
 * One execution, from its start to its one outcome: hand the input to the agent, wait for the first of result,
 * callback, deadline and cancel request, write the outcome down, then tell whoever asked to be told.
 */
export async function executeTarget(input: ExecuteTargetInput): Promise<Outcome> {
  const state = initialState(workflowInfo().workflowId, input);
  const messages = handleMessages(state);

  const ending = await runToEnd(state, input, messages);
  const outcome = outcomeOf(state, ending, now());
  append(state, { kind: 'outcome', outcome });

  const agentIsUnaware = mayAgentBeWorking(state, outcome);
  if (agentIsUnaware || state.webhook)
    await CancellationScope.nonCancellable((): Promise<unknown> => {
      const delivered = () => deliver(state, input.policy.webhook);
      return agentIsUnaware ? Promise.all([tellAgent(state, outcome), delivered()]) : delivered();
    });
  return close(state, outcome);
}

interface Messages {
  /** Resolves at the agent's callback. */
  calledBack: Promise<void>;
  signalCount: () => number;
}

function handleMessages(state: ExecutionState): Messages {
  let signals = 0;
  const onSignal = <T>(signal: SignalDefinition<[T]>, handle: (message: T) => void) =>
    setHandler(signal, (message) => {
      signals += 1;
      handle(message);
    });
  setHandler(stateQuery, () => state);
  onSignal(agentReportSignal, (reports) => {
    for (const report of reports) append(state, { kind: 'report', report });
  });
  onSignal(cancelReasonSignal, (reason) => append(state, { kind: 'cancel-reason', reason }));
  onSignal(webhookAttemptSignal, (attempt) => {
    const isFirst = state.webhookEvents.length === 0;
    append(state, { kind: 'webhook-attempt', attempt });
    // From here on the workflow stays open although the execution is over: lists must know.
    if (isFirst && state.outcome && !isDelivered(attempt)) publishOutcome(state.outcome);
  });
  const calledBack = new Promise<void>((resolve) => {
    onSignal(agentCallbackSignal, (callback) => {
      append(state, { kind: 'callback', callback });
      resolve();
    });
  });
  return { calledBack, signalCount: () => signals };
}

async function runToEnd(state: ExecutionState, input: ExecuteTargetInput, messages: Messages): Promise<Ending> {
  const { timeoutMs } = input;
  const remainingMs = (limitMs: number) => workflowInfo().startTime.getTime() + limitMs - Date.now();
  const callLimitMs = () => (timeoutMs === undefined ? undefined : Math.max(1, remainingMs(timeoutMs)));
  try {
    if (isCallbackDecisive(state)) return endingOfCallback(state);
    if (CancellationScope.current().consideredCancelled) return cancelledEnding(state);
    if (timeoutMs !== undefined && remainingMs(timeoutMs) <= 0) return timeoutEnding(timeoutMs);

    const answer = await firstAnswer(state, input, messages, callLimitMs);
    if (answer.kind === 'result') return { status: 'succeeded', result: answer.result };

    const isCalledBack = () => state.callback !== undefined;
    if (timeoutMs === undefined) await condition(isCalledBack);
    else if (!(await condition(isCalledBack, Math.max(1, remainingMs(timeoutMs))))) return timeoutEnding(timeoutMs);
    return endingOfCallback(state);
  } catch (err) {
    if (isCallbackDecisive(state)) return endingOfCallback(state);
    if (isCancellation(err)) return cancelledEnding(state);
    const hasPassed = (limitMs: number) => remainingMs(limitMs) <= 0 && patched('limit-passed-before-retry');
    return endingOfFailure(err, timeoutMs, hasPassed);
  }
}

/**
 * The agent's answer, or `accepted` as soon as its callback is here: a callback may overtake the acknowledgement,
 * or outlive the worker that was waiting for it, and then the call must not be made again.
 */
function firstAnswer(
  state: ExecutionState,
  input: ExecuteTargetInput,
  { calledBack, signalCount }: Messages,
  remainingMs: () => number | undefined,
): Promise<AgentAnswer> {
  const { target, runId, parentExecutionId, sessionId, actorId } = state;
  const { attemptTimeoutMs } = input.policy.agent;
  const call: AgentCall = {
    executionId: state.executionId,
    target,
    input: input.input,
    runId,
    ...(parentExecutionId !== undefined && { parentExecutionId }),
    ...(sessionId !== undefined && { sessionId }),
    ...(actorId !== undefined && { actorId }),
    ...(attemptTimeoutMs !== undefined && { timeoutMs: attemptTimeoutMs }),
  };
  const scope = new CancellationScope();
  const onLane = (lane: Lane) => append(state, { kind: 'running', at: now(), lane });
  const answered = scope.run(() => callUntilAnswered(call, input.policy.agent, { remainingMs, onLane, signalCount }));
  // Not Promise.race: the SDK takes a stack trace for each promise, a third of what this workflow cost with it.
  return new Promise((resolve, reject) => {
    answered.then(resolve, reject);
    void calledBack.then(() => {
      scope.cancel();
      resolve({ kind: 'accepted' });
    });
  });
}

/** The agent was told that its word is recorded: a cancel or a deadline that the same task brings cannot undo that. */
function isCallbackDecisive(state: ExecutionState): boolean {
  return state.callback !== undefined && patched('acknowledged-callback-decides');
}

function endingOfCallback(state: ExecutionState): Ending {
  if (!state.callback) throw ApplicationFailure.nonRetryable('no callback', 'ImpossibleState');
  const { callbackId: _, ...ending } = state.callback;
  return ending;
}

function mayAgentBeWorking(state: ExecutionState, outcome: Outcome): boolean {
  const isCutShort = outcome.status === 'cancelled' || outcome.status === 'timeout';
  if (!isCutShort || state.callback !== undefined) return false;
  // A worker that died in the very first task may have called it: nothing of that is in the history.
  return state.startedAt !== undefined || patched('tell-agent-not-known-to-be-called');
}

/** An agent that may still be working on it learns that nobody waits any more. */
async function tellAgent(state: ExecutionState, outcome: Outcome): Promise<void> {
  const { tellAgentCancelled } = proxyActivities<Activities>({
    startToCloseTimeout: TELL_AGENT_TIMEOUT_MS,
    scheduleToCloseTimeout: 3 * TELL_AGENT_TIMEOUT_MS,
    retry: { maximumAttempts: 2 },
  });
  const { executionId, target } = state;
  await tellAgentCancelled({ executionId, target, outcome }).catch(() => undefined);
}

/** Closes the workflow the way an operator expects to find it in the Temporal Web UI. */
function close(state: ExecutionState, outcome: Outcome): Outcome {
  if (outcome.status === 'succeeded') return outcome;
  const cancelRequested = CancellationScope.current().consideredCancelled;
  if (outcome.status === 'cancelled' && cancelRequested) {
    // This close carries no message: readers of the history put it together from the reason, so it must be that one.
    const isAsRead = outcome.error === cancelledError(state);
    if (isAsRead || !patched('cancelled-in-other-words')) throw new CancelledFailure(outcome.error);
  }
  if (outcome.status !== 'failed') publishOutcome(outcome);
  throw ApplicationFailure.create({
    message: outcome.error,
    type: FAILURE_TYPES[outcome.status],
    nonRetryable: true,
    details: [outcome],
  });
}

/** Temporal has no close status for this outcome, or the workflow is not closed yet: lists find it by attribute. */
function publishOutcome(outcome: Outcome): void {
  upsertSearchAttributes([{ key: SEARCH_ATTRIBUTES.outcome, value: outcome.status }]);
}

function now(): string {
  return new Date().toISOString();
}
