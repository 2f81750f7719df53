/**
 * The one reducer. The workflow folds what it does through it, the API folds the workflow's history through it,
 * so the `state` query, polls, sync answers and webhooks cannot disagree.
 */
import type { ExecuteTargetInput, ExecutionContext, SealedWebhook } from './contract.ts';
import { isTerminal } from './execution.ts';
import type {
  AgentCallback,
  AgentReport,
  Ending,
  ExecutionStatus,
  Json,
  JsonObject,
  Lane,
  Outcome,
  StepKind,
  Target,
  WebhookAttempt,
} from './execution.ts';

export interface ExecutionState extends ExecutionContext {
  executionId: string;
  target: Target;
  createdAt: string;
  status: ExecutionStatus;
  startedAt?: string;
  /** How the agent was called last. */
  lane?: Lane;
  currentAction?: string;
  progressPct?: number;
  estimatedCompletion?: string;
  /** The newest one, without its data. */
  lastStep?: { sequence: number; kind: StepKind; name?: string; summary?: string };
  /** What the agent has used, summed up. */
  usage?: { inputTokens: number; outputTokens: number; costUsd: number };
  /** What the agent wants to have again when it goes on; each one replaces the one before. */
  checkpoint?: Json;
  outcome?: Outcome;
  webhook?: SealedWebhook;
  webhookEvents: WebhookAttempt[];
  /** Number of the newest log entry; every visible change has one. */
  sequence: number;
  /** Not visible to clients: what decides races and retries. */
  callback?: AgentCallback;
  cancelReason?: string;
  /** Ids of the newest events of the agent's. */
  eventIds?: string[];
  requestMac?: string;
}

export type LogEntry =
  | { kind: 'running'; at: string; lane: Lane }
  | { kind: 'report'; report: AgentReport }
  | { kind: 'callback'; callback: AgentCallback }
  | { kind: 'cancel-reason'; reason: string }
  | { kind: 'outcome'; outcome: Outcome }
  | { kind: 'webhook-attempt'; attempt: WebhookAttempt };

/** Told of every entry that gets a number, which is what clients see as the execution's log. */
export type OnNumbered = (sequence: number, entry: LogEntry) => void;

export function initialState(executionId: string, input: ExecuteTargetInput): ExecutionState {
  const { target, runId, parentExecutionId, sessionId, actorId, createdAt, webhook, requestMac } = input;
  return {
    executionId,
    target,
    runId,
    ...(parentExecutionId !== undefined && { parentExecutionId }),
    ...(sessionId !== undefined && { sessionId }),
    ...(actorId !== undefined && { actorId }),
    createdAt,
    status: 'queued',
    ...(webhook && { webhook }),
    ...(requestMac !== undefined && { requestMac }),
    webhookEvents: [],
    sequence: 1,
  };
}

/** Folds one entry into the state, in place. The first outcome wins; what an agent says after it changes nothing. */
export function append(state: ExecutionState, entry: LogEntry, onNumbered?: OnNumbered): void {
  const number = (numbered: LogEntry) => {
    state.sequence += 1;
    onNumbered?.(state.sequence, numbered);
  };
  switch (entry.kind) {
    case 'running':
      if (state.outcome || state.lane === entry.lane) return;
      if (state.startedAt === undefined) {
        state.status = 'running';
        state.startedAt = entry.at;
      }
      state.lane = entry.lane;
      return number(entry);
    case 'report':
      if (state.outcome || isKnown(state, entry.report)) return;
      number(entry);
      return applyReport(state, entry.report);
    case 'callback':
      state.callback ??= entry.callback;
      return;
    case 'cancel-reason':
      state.cancelReason ??= entry.reason;
      return;
    case 'outcome':
      if (state.outcome) return;
      state.outcome = entry.outcome;
      state.status = entry.outcome.status;
      return number(entry);
    case 'webhook-attempt':
      for (const attempt of newAttempts(state, entry.attempt)) {
        state.webhookEvents.push(attempt);
        number({ kind: 'webhook-attempt', attempt });
      }
      return;
  }
}

/** How many event ids of an agent's are remembered. */
const MAX_EVENT_IDS = 1000;

/** Whether the agent has said that before; remembers it. */
function isKnown(state: ExecutionState, { id }: AgentReport): boolean {
  if (id === undefined) return false;
  const ids = (state.eventIds ??= []);
  if (ids.includes(id)) return true;
  ids.push(id);
  if (ids.length > MAX_EVENT_IDS) ids.shift();
  return false;
}

function applyReport(state: ExecutionState, report: AgentReport): void {
  if (report.type !== 'progress') return applyOther(state, report.name, report.data);
  if (report.status !== undefined) state.status = report.status;
  if (report.currentAction !== undefined) state.currentAction = report.currentAction;
  if (report.progressPct !== undefined) state.progressPct = report.progressPct;
  if (report.estimatedCompletion !== undefined) state.estimatedCompletion = report.estimatedCompletion;
}

function applyOther(state: ExecutionState, name: string, data: JsonObject): void {
  switch (name) {
    case 'step': {
      const { kind, name: step, summary } = data as { kind: StepKind; name?: string; summary?: string };
      state.lastStep = {
        sequence: state.sequence,
        kind,
        ...(step !== undefined && { name: step }),
        ...(summary !== undefined && { summary }),
      };
      return;
    }
    case 'usage': {
      const { input_tokens = 0, output_tokens = 0, cost_usd = 0 } = data as Record<string, number>;
      const { inputTokens, outputTokens, costUsd } = state.usage ?? { inputTokens: 0, outputTokens: 0, costUsd: 0 };
      state.usage = {
        inputTokens: inputTokens + input_tokens,
        outputTokens: outputTokens + output_tokens,
        costUsd: costUsd + cost_usd,
      };
      return;
    }
    case 'checkpoint':
      state.checkpoint = data['data'] ?? null;
  }
}

/** A worker that dies in an attempt leaves a gap in the numbers: it is filled, so that the log stays complete. */
function newAttempts({ webhookEvents }: ExecutionState, attempt: WebhookAttempt): WebhookAttempt[] {
  if (webhookEvents.some((known) => known.attempt === attempt.attempt)) return [];
  const missing = Math.max(0, attempt.attempt - webhookEvents.length - 1);
  return [...Array.from({ length: missing }, (_, i) => interruptedAttempt(webhookEvents.length + 1 + i)), attempt];
}

/** An attempt whose worker ended before it could say how it went. */
export function interruptedAttempt(attempt: number): WebhookAttempt {
  return {
    attempt,
    httpStatus: null,
    error: 'interrupted: the worker ended during this attempt, the receiver may have got it',
    timestamp: null,
    durationMs: null,
  };
}

/** Dates and numbers an ending. `at` is ISO 8601. */
export function outcomeOf(state: ExecutionState, ending: Ending, at: string): Outcome {
  const since = state.startedAt ?? state.createdAt;
  return {
    ...ending,
    ...(state.startedAt !== undefined && { startedAt: state.startedAt }),
    completedAt: at,
    durationMs: Math.max(0, Date.parse(at) - Date.parse(since)),
    sequence: state.sequence + 1,
  };
}

export function cancelledEnding(state: ExecutionState): Ending {
  return { status: 'cancelled', error: cancelledError(state), category: 'cancelled' };
}

export function cancelledError({ cancelReason }: ExecutionState): string {
  return cancelReason === undefined ? 'Execution cancelled' : `Execution cancelled: ${cancelReason}`;
}

export function isOver(state: ExecutionState): boolean {
  return isTerminal(state.status);
}
