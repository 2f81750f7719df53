import { CancellationScope, setDefaultSignalHandler, setHandler, workflowInfo } from '@temporalio/workflow';
import { stateQuery } from './contract.ts';
import type { ExecuteTargetInput } from './contract.ts';
import { isDelivered } from './execution.ts';
import type { Outcome } from './execution.ts';
import { entriesOfSignal } from './signals.ts';
import { append, initialState } from './state.ts';
import type { ExecutionState } from './state.ts';
import { createTimeLimit, runStartedAt } from './time-limit.ts';
import type { TimeLimit } from './time-limit.ts';
import { createWakeups } from './wakeups.ts';
import type { Wakeups } from './wakeups.ts';

/** One Temporal run of an execution: what it is about, what it has come to, and what may interrupt it. */
export interface Run {
  input: ExecuteTargetInput;
  state: ExecutionState;
  limit: TimeLimit;
  /** Signals, and whatever else somebody may wait for. */
  wakeups: Wakeups;
  signalCount: () => number;
  isCancelRequested: () => boolean;
  /** Executions of before there was a grace are cut at once, and their calls have the time limit themselves. */
  isControlled: boolean;
}

/** @param onFirstFailedDelivery called when it turns out that a webhook takes longer than its first attempt */
export function beginRun(input: ExecuteTargetInput, onFirstFailedDelivery: (outcome: Outcome) => void): Run {
  const { carried, policy } = input;
  const state = carried?.state ?? initialState(workflowInfo().workflowId, input);
  const wakeups = createWakeups();
  const limit = createTimeLimit({
    limitMs: input.timeoutMs,
    startedAt: carried ? Date.parse(carried.firstRunStartedAt) : runStartedAt(),
    pausedMs: carried?.pausedMs ?? 0,
    onPassed: wakeups.wake,
  });
  if (state.paused) limit.pause(Date.parse(state.paused.since));
  let signals = 0;
  setHandler(stateQuery, () => state);
  // One handler for all: signals from before the first task come in the order in which they were sent.
  setDefaultSignalHandler((name, message) => {
    signals += 1;
    for (const entry of entriesOfSignal(name, message)) {
      const isFirst = state.webhookEvents.length === 0;
      append(state, entry);
      if (state.paused) limit.pause(Date.parse(state.paused.since));
      else limit.resume(entry.kind === 'resume' && entry.request.at ? Date.parse(entry.request.at) : undefined);
      if (entry.kind === 'webhook-attempt' && isFirst && state.outcome && !isDelivered(entry.attempt))
        onFirstFailedDelivery(state.outcome);
    }
    wakeups.wake();
  });
  const root = CancellationScope.current();
  void root.cancelRequested.catch(wakeups.wake);
  return {
    input,
    state,
    limit,
    wakeups,
    signalCount: () => signals,
    isCancelRequested: () => root.consideredCancelled,
    isControlled: policy.cancelGraceMs !== undefined,
  };
}

/** By the clock of workflow code, ISO 8601. */
export function now(): string {
  return new Date().toISOString();
}
