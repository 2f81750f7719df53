import { ApplicationFailure, proxyActivities } from '@temporalio/workflow';
import type { Activities, BatchDelivery, ExecutionDelivery, ExecutionPolicy, RunDelivery } from './contract.ts';
import { causeOf } from './endings.ts';
import type { WebhookAttempt } from './execution.ts';
import { append, interruptedAttempt } from './state.ts';
import type { ExecutionState } from './state.ts';

/** Time an activity has, beyond the limit of its HTTP call, to report how it went. */
export const REPORT_GRACE_MS = 5_000;

/**
 * Delivers the webhook of a finished execution: one activity, retried by Temporal. The outcome travels in the
 * activity's input, so it is in history before the first byte is sent.
 * @returns whether the receiver took it
 */
export async function deliver(state: ExecutionState, policy: ExecutionPolicy['webhook']): Promise<boolean> {
  const { executionId, runId, target, outcome, webhook } = state;
  if (!outcome || !webhook) return false;
  const event = { executionId, runId, target, webhook, outcome, attemptsBefore: state.webhookEvents.length };
  return tell(event, policy, (attempt) => append(state, { kind: 'webhook-attempt', attempt }));
}

type Told<T> = Omit<T, 'maximumAttempts' | 'timeoutMs'>;

/** @param record told how the last attempt went */
export async function tell(
  event: Told<ExecutionDelivery> | Told<RunDelivery> | Told<BatchDelivery>,
  policy: ExecutionPolicy['webhook'],
  record: (attempt: WebhookAttempt) => void,
): Promise<boolean> {
  const { deliverWebhook } = proxyActivities<Activities>({
    startToCloseTimeout: policy.attemptTimeoutMs + REPORT_GRACE_MS,
    retry: {
      maximumAttempts: policy.maximumAttempts,
      initialInterval: policy.initialIntervalMs,
      backoffCoefficient: policy.backoffCoefficient,
      maximumInterval: policy.maximumIntervalMs,
    },
  });
  const { maximumAttempts, attemptTimeoutMs: timeoutMs } = policy;
  try {
    record(await deliverWebhook({ ...event, maximumAttempts, timeoutMs }));
    return true;
  } catch (err) {
    record(lastAttempt(err, event.attemptsBefore + maximumAttempts));
    return false;
  }
}

/** @param last number of the last attempt there can be: only after that does Temporal give up one that says nothing */
function lastAttempt(err: unknown, last: number): WebhookAttempt {
  const cause = causeOf(err);
  const [attempt] = cause instanceof ApplicationFailure ? ((cause.details ?? []) as [WebhookAttempt?]) : [];
  return attempt ?? interruptedAttempt(last);
}
