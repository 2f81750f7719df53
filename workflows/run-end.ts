import { ApplicationFailure, CancellationScope, proxyActivities } from '@temporalio/workflow';
import { tell } from './delivery.ts';
import type { RunActivities, RunEndInput } from './run-contract.ts';

const LOOK_LIMIT_MS = 5 * 60_000;

const { awaitRunEnd } = proxyActivities<RunActivities>({
  startToCloseTimeout: LOOK_LIMIT_MS,
  heartbeatTimeout: 60_000,
  retry: { initialInterval: 1_000, backoffCoefficient: 1 },
});

/** Waits for the end of a run, and tells of it, once. What the run has come to is in history before anybody is told. */
export async function runEnd({ runId, rosterId, executionId, webhook, policy }: RunEndInput): Promise<void> {
  const run = await awaitRunEnd({ runId, rosterId, executionId });
  if (!run) return;
  // Readers of the history put the attempts together; nothing here depends on them.
  const isDelivered = await CancellationScope.nonCancellable(() =>
    tell({ runId, run, webhook, attemptsBefore: 0 }, policy, () => undefined),
  );
  if (!isDelivered) throw ApplicationFailure.nonRetryable('webhook not delivered', 'WebhookNotDelivered');
}
