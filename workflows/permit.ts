import { CancellationScope, getExternalWorkflowHandle, proxyActivities, workflowInfo } from '@temporalio/workflow';
import { permitsWorkflowId, releasePermitSignal } from './permit-contract.ts';
import type { PermitActivities } from './permit-contract.ts';
import { now } from './run.ts';
import type { Run } from './run.ts';
import { append } from './state.ts';

/** The permit of an execution to be with its agent. */

/** Asks for one where the agent takes only so many at a time, and has not got one yet. */
export async function requestPermit({ state, input }: Run): Promise<void> {
  const { permits: limits } = input.policy;
  const { priorityKey: priority = DEFAULT_PRIORITY } = input.priority ?? {};
  if (!limits || state.permit) return;
  const { executionId, target } = state;
  append(state, { kind: 'permit-requested', at: now() });
  const { requestPermit: request } = proxyActivities<Pick<PermitActivities, 'requestPermit'>>({
    startToCloseTimeout: 10_000,
    retry: { initialInterval: 200, maximumInterval: 10_000 },
  });
  await CancellationScope.nonCancellable(() =>
    request({ node: target.node, executionId, target: target.name, priority, limits }),
  );
}

/** Gives it back, or leaves the queue. */
export async function releasePermit({ state }: Run): Promise<void> {
  if (!state.permit) return;
  append(state, { kind: 'permit-released' });
  const { executionId, target } = state;
  const permits = getExternalWorkflowHandle(permitsWorkflowId(target.node, workflowInfo().taskQueue));
  await CancellationScope.nonCancellable(() => permits.signal(releasePermitSignal, { executionId })).catch(
    // Nobody hands out permits any more: then nobody waits for this one either.
    () => undefined,
  );
}

export const DEFAULT_PRIORITY = 3;
