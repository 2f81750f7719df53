import { ApplicationFailure, CancellationScope, proxyActivities } from '@temporalio/workflow';
import type { BatchActivities, BatchInput } from './batch-contract.ts';
import { tell } from './delivery.ts';

const { drainBatch } = proxyActivities<BatchActivities>({
  startToCloseTimeout: 10 * 60_000,
  heartbeatTimeout: 30_000,
  retry: { initialInterval: 1_000, backoffCoefficient: 1 },
});

/** A batch, from its first item to the end of the last one, which is told once if somebody asked. */
export async function runBatch({ batchId, webhook }: BatchInput): Promise<void> {
  // The items stay where they are, in the input of this workflow: the activity reads them there.
  const batch = await CancellationScope.nonCancellable(drainBatch);
  if (!webhook) return;
  const event = { runId: batchId, batch, webhook: webhook.registration, attemptsBefore: 0 };
  const isDelivered = await CancellationScope.nonCancellable(() => tell(event, webhook.policy, () => undefined));
  if (!isDelivered) throw ApplicationFailure.nonRetryable('webhook not delivered', 'WebhookNotDelivered');
}
