import {
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  patched,
  proxyActivities,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import { SEARCH_ATTRIBUTES } from './contract.ts';
import type { Activities, CancelNotice, ExecuteTargetInput } from './contract.ts';
import { deliver } from './delivery.ts';
import { FAILURE_TYPES } from './endings.ts';
import type { Outcome } from './execution.ts';
import { releasePermit } from './permit.ts';
import { beginRun, now } from './run.ts';
import type { Run } from './run.ts';
import { append, cancelledError, outcomeOf } from './state.ts';
import type { ExecutionState } from './state.ts';
import { runToEnd } from './turns.ts';

const TELL_AGENT_TIMEOUT_MS = 5_000;

/**
 * One execution, from its start to its one outcome: hand the input to the agent, wait for the first of result,
 * callback, deadline and cancel request, write the outcome down, then tell whoever asked to be told.
 */
export async function executeTarget(input: ExecuteTargetInput): Promise<Outcome> {
  // From here on the workflow stays open although the execution is over: lists must know.
  const run = beginRun(input, publishOutcome);
  const { state } = run;
  const ending = await runToEnd(run, (notice) => void tellAgent(state, notice));
  const mayBeWorking = mayAgentBeWorking(run);
  const outcome = outcomeOf(state, ending, now());
  append(state, { kind: 'outcome', outcome });

  const isCutShort = outcome.status === 'cancelled' || outcome.status === 'timeout';
  const agentIsUnaware = isCutShort && mayBeWorking();
  const hasPermit = state.permit !== undefined;
  if (agentIsUnaware || hasPermit || state.webhook)
    await CancellationScope.nonCancellable((): Promise<unknown> => {
      const delivered = () => deliver(state, input.policy.webhook);
      return agentIsUnaware || hasPermit
        ? Promise.all([agentIsUnaware && tellAgent(state, { outcome }), hasPermit && releasePermit(run), delivered()])
        : delivered();
    });
  return close(run, outcome);
}

/** Before the outcome is in the state; after it, what it takes to know is gone. */
function mayAgentBeWorking({ state, isControlled }: Run): () => boolean {
  const { callback, waiting, isCancelling, startedAt, permit } = state;
  if (permit && !permit.isGranted) return () => false;
  if (callback !== undefined || waiting !== undefined || isCancelling) return () => false;
  // A worker that died in the very first task may have called it: nothing of that is in the history.
  return () => startedAt !== undefined || isControlled || patched('tell-agent-not-known-to-be-called');
}

/** An agent that may still be working on it learns that nobody waits any more, or is asked to come to an end. */
function tellAgent(
  { executionId, target }: ExecutionState,
  notice: Omit<CancelNotice, 'executionId' | 'target'>,
): Promise<void> {
  const { tellAgentCancelled } = proxyActivities<Activities>({
    startToCloseTimeout: TELL_AGENT_TIMEOUT_MS,
    scheduleToCloseTimeout: 3 * TELL_AGENT_TIMEOUT_MS,
    retry: { maximumAttempts: 2 },
  });
  return CancellationScope.nonCancellable(() => tellAgentCancelled({ executionId, target, ...notice })).catch(
    () => undefined,
  );
}

/** Closes the workflow the way an operator expects to find it in the Temporal Web UI. */
function close({ state, isControlled }: Run, outcome: Outcome): Outcome {
  if (outcome.status === 'succeeded') return outcome;
  const cancelRequested = CancellationScope.current().consideredCancelled;
  if (outcome.status === 'cancelled' && cancelRequested) {
    // This close carries no message: readers of the history put it together from the reason, so it must be that one.
    const isAsRead = outcome.error === cancelledError(state);
    if (isAsRead || (!isControlled && !patched('cancelled-in-other-words'))) throw new CancelledFailure(outcome.error);
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
