import { ApplicationFailure, proxyActivities } from '@temporalio/workflow';
import type { Activities, ExecutionPolicy } from './contract.ts';
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
  const { outcome, webhook } = state;
  if (!outcome || !webhook) return false;
  const { deliverWebhook } = proxyActivities<Activities>({
    startToCloseTimeout: policy.attemptTimeoutMs + REPORT_GRACE_MS,
    retry: {
      maximumAttempts: policy.maximumAttempts,
      initialInterval: policy.initialIntervalMs,
      backoffCoefficient: policy.backoffCoefficient,
      maximumInterval: policy.maximumIntervalMs,
    },
  });
  const { executionId, runId, target } = state;
  const attemptsBefore = state.webhookEvents.length;
  try {
    const attempt = await deliverWebhook({
      executionId,
      runId,
      target,
      webhook,
      outcome,
      attemptsBefore,
      maximumAttempts: policy.maximumAttempts,
      timeoutMs: policy.attemptTimeoutMs,
    });
    append(state, { kind: 'webhook-attempt', attempt });
    return true;
  } catch (err) {
    append(state, { kind: 'webhook-attempt', attempt: lastAttempt(err, attemptsBefore + policy.maximumAttempts) });
    return false;
  }
}

/** @param last number of the last attempt there can be: only after that does Temporal give up one that says nothing */
function lastAttempt(err: unknown, last: number): WebhookAttempt {
  const cause = causeOf(err);
  const [attempt] = cause instanceof ApplicationFailure ? ((cause.details ?? []) as [WebhookAttempt?]) : [];
  return attempt ?? interruptedAttempt(last);
}
