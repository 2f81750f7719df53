import type { WebhookDelivery } from '../workflows/contract.ts';
import { formatTarget } from '../workflows/execution.ts';
import type { TerminalStatus } from '../workflows/execution.ts';

export type WebhookEvent = 'execution.completed' | 'execution.failed';

/** AgentField knows two events: every end that is not success is `execution.failed`, with the real `status`. */
export function eventOf(status: TerminalStatus): WebhookEvent {
  switch (status) {
    case 'succeeded':
      return 'execution.completed';
    case 'failed':
    case 'timeout':
    case 'cancelled':
      return 'execution.failed';
  }
}

/** The body of a webhook: a function of what is in history alone, so every attempt sends the same bytes. */
export function webhookPayload({ executionId, runId, target, outcome }: WebhookDelivery): string {
  return JSON.stringify({
    event: eventOf(outcome.status),
    execution_id: executionId,
    run_id: runId,
    workflow_id: runId,
    status: outcome.status,
    target: formatTarget(target),
    type: target.type,
    ...(outcome.status === 'succeeded'
      ? { result: outcome.result }
      : {
          error: outcome.error,
          error_message: outcome.error,
          error_category: outcome.category,
          ...(outcome.errorDetails !== undefined && { error_details: outcome.errorDetails }),
          ...(outcome.partialResult !== undefined && { partial_result: outcome.partialResult }),
        }),
    duration_ms: outcome.durationMs,
    started_at: outcome.startedAt ?? null,
    completed_at: outcome.completedAt,
    timestamp: outcome.completedAt,
    sequence: outcome.sequence,
  });
}

/** `webhook-id`: one per execution, the same for every attempt and every redelivery. */
export function webhookId(executionId: string): string {
  return `dlv_${executionId.replace(/^exec_/, '')}`;
}
