import type { LoadedDataConverter } from '@temporalio/common';
import { decodeFirst } from '../common/decode-payload.ts';
import type { HistoryEvent, ReadPage } from '../common/history-pages.ts';
import { isNotFound } from '../common/temporal-errors.ts';
import { webhookAttemptSignal } from '../workflows/contract.ts';
import type { WebhookAttempt } from '../workflows/execution.ts';
import { interruptedAttempt } from '../workflows/state.ts';

/** What became of the webhook that is to tell of a run's end. */
export interface RunWebhook {
  /** In order; a gap is an attempt whose worker died. */
  attempts: WebhookAttempt[];
  isClosed: boolean;
}

/** Reads it from the history of what tells. @returns undefined where nobody asked to be told */
export async function readRunWebhook(
  readPage: ReadPage,
  converter: LoadedDataConverter | undefined,
  workflowId: string,
): Promise<RunWebhook | undefined> {
  const attempts = new Map<number, WebhookAttempt>();
  let isClosed = false;
  let token = new Uint8Array();
  try {
    do {
      const { events, next } = await readPage(workflowId, token);
      token = new Uint8Array(next);
      for (const event of events) {
        const attempt = await attemptOf(event, converter);
        if (attempt?.attempt !== undefined) attempts.set(attempt.attempt, attempt);
        isClosed ||= Boolean(
          event.workflowExecutionCompletedEventAttributes ??
          event.workflowExecutionFailedEventAttributes ??
          event.workflowExecutionTerminatedEventAttributes ??
          event.workflowExecutionCanceledEventAttributes,
        );
      }
    } while (token.length > 0);
  } catch (err) {
    if (isNotFound(err)) return undefined;
    throw err;
  }
  const last = Math.max(0, ...attempts.keys());
  const all = Array.from({ length: last }, (_, i) => attempts.get(i + 1) ?? interruptedAttempt(i + 1));
  return { attempts: all, isClosed };
}

function attemptOf(
  event: HistoryEvent,
  converter: LoadedDataConverter | undefined,
): Promise<WebhookAttempt | undefined> {
  const signaled = event.workflowExecutionSignaledEventAttributes;
  if (signaled?.signalName === webhookAttemptSignal.name) return decodeFirst(signaled.input, converter);
  const failure = event.activityTaskFailedEventAttributes?.failure?.applicationFailureInfo;
  // The other activity there is resolves with something that has no number.
  return decodeFirst(failure?.details ?? event.activityTaskCompletedEventAttributes?.result, converter);
}
