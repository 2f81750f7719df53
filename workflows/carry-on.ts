import { continueAsNew, workflowInfo } from '@temporalio/workflow';
import type { CarriedExecution } from './contract.ts';
import type { executeTarget } from './execute-target.ts';
import { jsonBytes } from './json-size.ts';
import type { Run } from './run.ts';
import { runStartedAt } from './time-limit.ts';

/** Temporal ends a run of 51,200 events; from 4,096 on its SDKs suggest to go on in another one. */
const MAX_RUN_EVENTS = 4_000;
const MAX_RUN_BYTES = 8 * 1024 * 1024;
/** Temporal takes 2 MiB. What does not fit stays where it is, and its history goes on growing. */
const MAX_CARRIED_BYTES = 1_500_000;

/**
 * Whether the history has become long. To be asked only while no call of the agent is in flight: its activity would
 * end with the run.
 */
export function isDueToCarryOn({ input, state, isControlled, isCancelRequested }: Run): boolean {
  if (!isControlled || isCancelRequested()) return false;
  const { historyLength, historySize } = workflowInfo();
  const isLong = historyLength >= (input.policy.maxRunEvents ?? MAX_RUN_EVENTS) || historySize >= MAX_RUN_BYTES;
  return isLong && jsonBytes([input.input, input.context, state]) <= MAX_CARRIED_BYTES;
}

/** Goes on in another Temporal run, which begins with all that is known: readers see one execution. */
export function carryOn(run: Run, turn: Pick<CarriedExecution, 'isAccepted' | 'accepted' | 'answer'>): Promise<never> {
  const { input, state, limit } = run;
  return continueAsNew<typeof executeTarget>({
    ...input,
    carried: {
      state,
      previousRunId: workflowInfo().runId,
      firstRunStartedAt: input.carried?.firstRunStartedAt ?? new Date(runStartedAt()).toISOString(),
      pausedMs: limit.endedPausesMs(),
      ...turn,
    },
  });
}
