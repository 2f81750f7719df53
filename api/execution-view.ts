import { messageView } from '../common/steering-view.ts';
import type { OpenWait, Outcome, WebhookAttempt } from '../workflows/execution.ts';
import { formatTarget } from '../workflows/execution.ts';
import { openMessages } from '../workflows/messages.ts';
import type { TrackedMessage } from '../workflows/messages.ts';
import { isOver } from '../workflows/state.ts';
import type { ExecutionState } from '../workflows/state.ts';
import type { ActivityDetails } from './activity-details.ts';
import type { Executions } from './executions.ts';
import type { Estimate } from './estimate.ts';
import type { ReadState } from './pending.ts';
import type { CONTROLS, Execution } from './schemas.ts';
import { waitingOn } from './waiting-on.ts';

/** States to JSON. The only place where an execution gets its wire names. */

/** What is known of an execution beyond its history. */
export interface Surroundings {
  /** Of the activity that it waits for. */
  details?: ActivityDetails | undefined;
  estimate?: Estimate | undefined;
  /** Of one that waits for its turn: 1 is the next. */
  queuePosition?: number | undefined;
}

export function executionView(state: ReadState, { details, estimate, queuePosition }: Surroundings = {}): Execution {
  const { outcome } = state;
  return {
    execution_id: state.executionId,
    run_id: state.runId,
    target: formatTarget(state.target),
    type: state.target.type,
    ...(state.parentExecutionId !== undefined && { parent_execution_id: state.parentExecutionId }),
    ...(state.sessionId !== undefined && { session_id: state.sessionId }),
    ...(state.actorId !== undefined && { actor_id: state.actorId }),
    status: state.status,
    created_at: state.createdAt,
    started_at: outcome?.startedAt ?? state.startedAt ?? null,
    waiting_on: waitingOn(state, state.pending, { details, queuePosition }),
    lane: state.lane ?? null,
    current_action: state.currentAction ?? null,
    progress_pct: state.progressPct ?? null,
    estimated_completion: estimate?.completion ?? state.estimatedCompletion ?? null,
    estimate_basis: estimate?.basis ?? (state.estimatedCompletion === undefined ? null : 'agent'),
    last_step: state.lastStep
      ? {
          sequence: state.lastStep.sequence,
          kind: state.lastStep.kind,
          name: state.lastStep.name ?? null,
          summary: state.lastStep.summary ?? null,
        }
      : null,
    usage: state.usage
      ? {
          input_tokens: state.usage.inputTokens,
          output_tokens: state.usage.outputTokens,
          cost_usd: state.usage.costUsd,
        }
      : null,
    context_rev: state.context?.rev ?? 0,
    turn: state.turn ?? 1,
    cancelling: !outcome && state.isCancelling === true,
    paused: state.paused
      ? { since: state.paused.since, by: state.paused.by ?? null, reason: state.paused.reason ?? null }
      : null,
    waiting: state.waiting && !state.answer ? waitView(state.waiting) : null,
    open_messages: openMessages(state.messages).length,
    ...endView(outcome),
    ...(outcome && outcome.status !== 'succeeded' && { checkpoint: state.nextCheckpoint ?? state.checkpoint ?? null }),
    ...(state.restartOf && { restart_of: restartView(state.restartOf) }),
    ...(state.reusedFrom !== undefined && { reused_from: state.reusedFrom }),
    webhook_registered: state.webhook !== undefined,
    webhook_events: state.webhookEvents.map(attemptView),
    sequence: state.sequence,
  };
}

/** The same with all that there is to know of it at this moment. */
export async function viewNow(
  { detailsOf, estimateOf, queuePositionOf }: Pick<Executions, 'detailsOf' | 'estimateOf' | 'queuePositionOf'>,
  state: ReadState,
): Promise<Execution> {
  const [details, queuePosition] = await Promise.all([detailsOf(state), queuePositionOf(state)]);
  return executionView(state, { details, queuePosition, estimate: estimateOf(state) });
}

/** How an execution ended, as it stands in it and in its log. */
export function endView(outcome: Outcome | undefined) {
  const failure = failureOf(outcome);
  return {
    completed_at: outcome?.completedAt ?? null,
    duration_ms: outcome?.durationMs ?? null,
    result: outcome?.status === 'succeeded' ? outcome.result : null,
    error: failure?.error ?? null,
    error_details: failure?.errorDetails ?? null,
    error_category: failure?.category ?? null,
    ...(failure && { partial_result: failure.partialResult ?? null }),
  };
}

function restartView({ executionId, runId, reason }: NonNullable<ExecutionState['restartOf']>) {
  return { execution_id: executionId, run_id: runId, reason: reason ?? null };
}

/** What an agent waits to be told. */
export function waitView({ turn = 1, kind, text, options, defaultAnswer, since, expiresAt }: OpenWait) {
  return {
    turn,
    kind,
    text,
    options: options ?? null,
    default: defaultAnswer ?? null,
    since,
    expires_at: expiresAt ?? null,
  };
}

export function attemptView({ attempt, httpStatus, error, timestamp, durationMs }: WebhookAttempt) {
  return { attempt, http_status: httpStatus, error, timestamp, duration_ms: durationMs };
}

export function acceptedView(state: ExecutionState) {
  return {
    execution_id: state.executionId,
    run_id: state.runId,
    workflow_id: state.runId,
    status: state.status,
    target: formatTarget(state.target),
    type: state.target.type,
    created_at: state.createdAt,
    webhook_registered: state.webhook !== undefined,
    links: linksOf(state.executionId),
  };
}

/** AgentField's answer of a synchronous call, for success and failure alike. */
export function syncView(state: ExecutionState, outcome: Outcome) {
  const failure = failureOf(outcome);
  return {
    execution_id: state.executionId,
    run_id: state.runId,
    status: outcome.status,
    ...(outcome.status === 'succeeded' && { result: outcome.result }),
    ...(failure && {
      error: failure.error,
      error_message: failure.error,
      error_category: failure.category,
      ...(failure.errorDetails !== undefined && { error_details: failure.errorDetails }),
      ...(typeof failure.errorDetails === 'string' && { details: failure.errorDetails }),
      ...(failure.partialResult !== undefined && { partial_result: failure.partialResult }),
    }),
    duration_ms: outcome.durationMs,
    finished_at: outcome.completedAt,
    webhook_registered: state.webhook !== undefined,
  };
}

/** How far a message has come. */
export function trackedView(executionId: string, { id, status, sequence }: TrackedMessage) {
  return { execution_id: executionId, id, status, sequence };
}

/** What every answer to an agent's callback tells it. */
export function directionsView(state: ExecutionState) {
  return {
    execution_id: state.executionId,
    control: controlOf(state),
    // After its last word in a turn it gets them with the next.
    messages: isTurnOver(state)
      ? []
      : openMessages(state.messages).flatMap(({ message }) => (message ? [messageView(message)] : [])),
    context_rev: state.context?.rev ?? 0,
    sequence: state.sequence,
  };
}

function isTurnOver(state: ExecutionState): boolean {
  return isOver(state) || state.callback !== undefined || state.waiting !== undefined;
}

function controlOf(state: ExecutionState): (typeof CONTROLS)[number] {
  if (isOver(state) || state.isCancelling) return 'cancel';
  const isInterrupted = openMessages(state.messages).some(({ message }) => message?.interrupt);
  return state.paused || isInterrupted ? 'hold' : 'continue';
}

export function executionPath(executionId: string): string {
  return `/api/v1/executions/${executionId}`;
}

export function linksOf(executionId: string) {
  const self = executionPath(executionId);
  return {
    self,
    events: `${self}/events`,
    cancel: `${self}/cancel`,
    messages: `${self}/messages`,
    steer: `${self}/steer`,
    context: `${self}/context`,
    status: `${self}/status`,
    redeliver: `${self}/webhook/redeliver`,
  };
}

function failureOf(outcome: Outcome | undefined) {
  return outcome && outcome.status !== 'succeeded' ? outcome : undefined;
}
