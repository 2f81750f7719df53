import { ApplicationFailure, Context, log } from '@temporalio/activity';
import { request } from 'undici';
import type { Dispatcher } from 'undici';
import { retryAfterMs } from '../common/retry-after.ts';
import { SealingError } from '../common/sealing.ts';
import type { Sealer } from '../common/sealing.ts';
import { webhookAttemptSignal } from '../workflows/contract.ts';
import type { WebhookDelivery } from '../workflows/contract.ts';
import type { WebhookAttempt } from '../workflows/execution.ts';
import { readText } from './body.ts';
import { subjectOf, webhookId, webhookPayload } from './webhook-payload.ts';
import { agentFieldSignature, standardSignature } from './webhook-signature.ts';

export interface DeliverWebhookDeps {
  sealer: Sealer;
  http: Dispatcher;
}

/** A `Retry-After` of a receiver is honoured up to here. */
const MAX_RETRY_AFTER_MS = 600_000;
/** Nothing in a receiver's answer is of use beyond its status; this much is read so that the connection can be kept. */
const MAX_RESPONSE_BYTES = 64 * 1024;
const GONE = 410;

interface Webhook {
  url: string;
  secret?: string;
  headers?: Record<string, string>;
}

/**
 * Makes one attempt at a delivery. A failed attempt that will be retried is reported to the workflow by signal
 * before the activity fails, because Temporal itself keeps only the last failure of a retried activity.
 */
export function createDeliverWebhook({ sealer, http }: DeliverWebhookDeps) {
  return async function deliverWebhook(delivery: WebhookDelivery): Promise<WebhookAttempt> {
    const { info } = Context.current();
    const number = delivery.attemptsBefore + info.attempt;
    const startedAt = Date.now();
    const { httpStatus, retryAfter, error } = await send(delivery);
    const attempt: WebhookAttempt = {
      attempt: number,
      httpStatus,
      error,
      timestamp: new Date(startedAt).toISOString(),
      durationMs: Date.now() - startedAt,
    };
    if (error === null) return attempt;

    const isLast = httpStatus === GONE || info.attempt >= delivery.maximumAttempts;
    if (!isLast) await reportAttempt(attempt);
    const nextRetryDelay = retryAfterMs(retryAfter, MAX_RETRY_AFTER_MS);
    throw ApplicationFailure.create({
      message: `webhook attempt ${number} failed: ${error}`,
      type: 'WebhookAttemptFailed',
      nonRetryable: isLast,
      details: [attempt],
      ...(nextRetryDelay !== undefined && { nextRetryDelay }),
    });
  };

  async function send(delivery: WebhookDelivery): Promise<{
    httpStatus: number | null;
    retryAfter?: string | string[] | undefined;
    error: string | null;
  }> {
    try {
      const subject = subjectOf(delivery);
      const webhook = JSON.parse(sealer.unseal(subject, delivery.webhook.sealed)) as Webhook;
      const body = webhookPayload(delivery);
      const response = await request(webhook.url, {
        dispatcher: http,
        method: 'POST',
        headers: { ...usersHeaders(webhook), ...ownHeaders(subject, webhook.secret, body) },
        body,
        signal: AbortSignal.timeout(delivery.timeoutMs),
      });
      // The status is the answer, however the rest of it goes.
      await readText(response.body, MAX_RESPONSE_BYTES).catch(() => undefined);
      const httpStatus = response.statusCode;
      const isSuccess = httpStatus >= 200 && httpStatus < 300;
      return {
        httpStatus,
        retryAfter: response.headers['retry-after'],
        error: isSuccess ? null : `receiver answered ${httpStatus}`,
      };
    } catch (err) {
      return { httpStatus: null, error: describe(err, delivery.timeoutMs) };
    }
  }
}

function usersHeaders({ headers = {} }: Webhook): Record<string, string> {
  const lowerCase = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
  return { 'user-agent': 'Perdure', ...Object.fromEntries(lowerCase) };
}

/** Ours come last: what a user sets can never displace them. */
function ownHeaders(subject: string, secret: string | undefined, body: string): Record<string, string> {
  const id = webhookId(subject);
  const timestamp = Math.floor(Date.now() / 1000);
  return {
    'content-type': 'application/json',
    'accept-encoding': 'identity',
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    ...(secret !== undefined && {
      'webhook-signature': standardSignature(secret, id, timestamp, body),
      'x-agentfield-signature': agentFieldSignature(secret, body),
    }),
  };
}

/** A short class of error: receivers' texts and URLs stay out of history. */
function describe(err: unknown, timeoutMs: number): string {
  const { name, code, message } = err as { name?: string; code?: string; message?: string };
  if (name === 'TimeoutError') return `no answer within ${timeoutMs / 1000} s`;
  if (code !== undefined) return `connection failed: ${code}`;
  return err instanceof SealingError ? err.message : `failed: ${message}`;
}

async function reportAttempt(attempt: WebhookAttempt): Promise<void> {
  const { client, info } = Context.current();
  const { workflowId, runId } = info.workflowExecution ?? {};
  if (workflowId === undefined) throw new Error('deliverWebhook was not called by a workflow');
  try {
    await client.workflow.getHandle(workflowId, runId).signal(webhookAttemptSignal, attempt);
  } catch (err) {
    // The log then shows this attempt as interrupted; delivering goes on.
    log.warn('a failed webhook attempt could not be recorded', { attempt: attempt.attempt, error: String(err) });
  }
}
