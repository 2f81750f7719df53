import { createHash } from 'node:crypto';
import { batchSubject } from '../workflows/batch-contract.ts';
import type { BatchDelivery, ExecutionDelivery, RunDelivery, WebhookDelivery } from '../workflows/contract.ts';
import { runSubject } from '../workflows/run-contract.ts';
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
export function webhookPayload(delivery: WebhookDelivery): string {
  if ('batch' in delivery) return batchPayload(delivery);
  return 'run' in delivery ? runPayload(delivery) : executionPayload(delivery);
}

function executionPayload({ executionId, runId, target, outcome }: ExecutionDelivery): string {
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

/** Whatever the run has come to, its end is one event. */
function runPayload({ runId, run }: RunDelivery): string {
  return JSON.stringify({
    event: 'run.completed',
    run_id: runId,
    workflow_id: runId,
    status: run.status,
    total_executions: run.executions,
    counts: run.counts,
    started_at: run.startedAt,
    completed_at: run.completedAt,
    duration_ms: Math.max(0, Date.parse(run.completedAt) - Date.parse(run.startedAt)),
    timestamp: run.completedAt,
  });
}

function batchPayload({ runId, batch }: BatchDelivery): string {
  return JSON.stringify({
    event: 'batch.completed',
    batch_id: runId,
    run_id: runId,
    workflow_id: runId,
    status: batch.isCancelled ? 'cancelled' : 'completed',
    total: batch.total,
    counts: { ...batch.counts, not_started: batch.notStarted },
    completed_at: batch.completedAt,
    timestamp: batch.completedAt,
  });
}

/** What a webhook is about, and sealed for: an execution, a run, or a batch. */
export function subjectOf(delivery: WebhookDelivery): string {
  if ('batch' in delivery) return batchSubject(delivery.runId);
  return 'run' in delivery ? runSubject(delivery.runId) : delivery.executionId;
}

/** `webhook-id`: one per execution, run or batch, the same for every attempt and every redelivery. */
export function webhookId(subject: string): string {
  const [kind = '', id] = subject.split(' ');
  if (id === undefined) return `dlv_${subject.replace(/^exec_/, '')}`;
  // The run ids of clients may have any characters.
  return `dlv_${kind}_${createHash('sha256').update(subject).digest('hex').slice(0, 32)}`;
}
