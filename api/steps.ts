import type { Client } from '@temporalio/client';
import { canonicalJson } from '../common/json.ts';
import { storeStepSignal } from '../workflows/contract.ts';
import type { StoredStep } from '../workflows/execution.ts';
import { hasRoomFor, MAX_STEPS, MAX_STEPS_CHARS } from '../workflows/steps.ts';
import type { KeptStep } from '../workflows/steps.ts';
import { ApiError, notSeen } from './errors.ts';
import type { ReadState } from './pending.ts';
import { refuseIfFull } from './signalling.ts';
import type { Signalling } from './signalling.ts';

/** Costly results that an agent stores once, so that it need not come to them again after a crash. */
export interface Steps {
  /** The first value of a key counts. Throws `step_differs` where that is another one. */
  storeStep: (executionId: string, step: StoredStep) => Promise<{ step: KeptStep; isNew: boolean }>;
}

export function createSteps({ getOpen, signalAndSee }: Signalling, client: Client): Steps {
  return {
    storeStep: async (executionId, step) => {
      const state = await getOpen(executionId);
      const known = findStep(state, step.key);
      if (known) return { step: sameOrConflict(executionId, known, step), isNew: false };
      refuseIfFull(state);
      if (!hasRoomFor(state.steps ?? [], step))
        throw new ApiError(
          'too_many_steps',
          `an execution stores up to ${MAX_STEPS} steps, together up to ${MAX_STEPS_CHARS} characters`,
          { executionId },
        );
      const send = () => client.workflow.getHandle(executionId).signal(storeStepSignal, step);
      const seen = await signalAndSee(executionId, send, (now) => findStep(now, step.key) !== undefined);
      const stored = seen && findStep(seen, step.key);
      if (!stored) throw notSeen(executionId);
      return { step: sameOrConflict(executionId, stored, step), isNew: true };
    },
  };
}

export function findStep({ steps = [] }: Pick<ReadState, 'steps'>, key: string): KeptStep | undefined {
  return steps.find((one) => one.key === key);
}

function sameOrConflict(executionId: string, known: KeptStep, step: StoredStep): KeptStep {
  if (canonicalJson(known.value) === canonicalJson(step.value)) return known;
  throw new ApiError('step_differs', `step '${step.key}' was stored with another value`, {
    executionId,
    members: { value: known.value, sequence: known.sequence },
  });
}
