import { ApplicationFailure, CancellationScope, setHandler } from '@temporalio/workflow';
import { stateQuery, webhookAttemptSignal } from './contract.ts';
import type { RedeliverWebhookInput } from './contract.ts';
import { deliver } from './delivery.ts';
import { append } from './state.ts';

/**
 * Sends the webhook of a finished execution again. It runs under the execution's own workflow id and starts from
 * the state at the end of the run before, so for every reader it is the same execution with further attempts.
 */
export async function redeliverWebhook({ state, policy }: RedeliverWebhookInput): Promise<void> {
  setHandler(stateQuery, () => state);
  setHandler(webhookAttemptSignal, (attempt) => append(state, { kind: 'webhook-attempt', attempt }));
  const isDelivered = await CancellationScope.nonCancellable(() => deliver(state, policy.webhook));
  if (!isDelivered) throw ApplicationFailure.nonRetryable('webhook not delivered', 'WebhookNotDelivered');
}
