/**
 * The vocabulary every layer shares: what an execution is, which statuses it passes through, how it ends.
 * Pure types and functions; the outermost import anybody may make of `workflows/`.
 */

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

export const OPEN_STATUSES = ['queued', 'running', 'waiting', 'paused'] as const;
export const TERMINAL_STATUSES = ['succeeded', 'failed', 'timeout', 'cancelled'] as const;
export const EXECUTION_STATUSES = [...OPEN_STATUSES, ...TERMINAL_STATUSES] as const;
export type OpenStatus = (typeof OPEN_STATUSES)[number];
export type TerminalStatus = (typeof TERMINAL_STATUSES)[number];
export type ExecutionStatus = OpenStatus | TerminalStatus;

export function isTerminal(status: ExecutionStatus): status is TerminalStatus {
  return (TERMINAL_STATUSES as readonly string[]).includes(status);
}

export const TARGET_TYPES = ['reasoner', 'skill'] as const;
export type TargetType = (typeof TARGET_TYPES)[number];

/** How an agent is called: within a workflow task, for the prompt ones, or by an activity of its own. */
export const LANES = ['local', 'activity'] as const;
export type Lane = (typeof LANES)[number];

/** What an execution calls: one reasoner or skill of one agent node. */
export interface Target {
  node: string;
  name: string;
  type: TargetType;
}

/** `node.name`, as it stands in URLs, webhooks and search attributes. */
export function formatTarget(target: Target): string {
  return `${target.node}.${target.name}`;
}

/** Why an execution did not succeed, for programs. AgentField's `error_category` words where it has one. */
export const ERROR_CATEGORIES = [
  'agent_error',
  'agent_unreachable',
  'agent_timeout',
  'bad_response',
  'result_too_large',
  'node_unavailable',
  'cancelled',
  'terminated',
  'internal_error',
] as const;
export type ErrorCategory = (typeof ERROR_CATEGORIES)[number];

/** How a call of an agent can fail, as plain data that crosses from an activity into history. */
export interface AgentFailure {
  error: string;
  category: ErrorCategory;
  /** JSON body of the agent's refusal, if it sent one. */
  errorDetails?: Json;
  /** HTTP status of the agent's refusal. */
  agentStatus?: number;
}

/** How an execution ended, before it is numbered and dated. */
export type Ending =
  | { status: 'succeeded'; result: Json }
  | ({ status: Exclude<TerminalStatus, 'succeeded'> } & AgentFailure);

/** The one terminal outcome of an execution. Times are ISO 8601, UTC. */
export type Outcome = Ending & {
  startedAt?: string;
  completedAt: string;
  durationMs: number;
  /** Number of this entry in the execution's log. */
  sequence: number;
};

/** One HTTP try of a webhook delivery, counted from 1. `timestamp` is null when no worker lived to record it. */
export interface WebhookAttempt {
  attempt: number;
  httpStatus: number | null;
  error: string | null;
  timestamp: string | null;
  durationMs: number | null;
}

export function isDelivered(attempt: WebhookAttempt): boolean {
  return attempt.error === null;
}

export const STEP_KINDS = ['thought', 'tool_call', 'tool_result', 'self_correction', 'message'] as const;
export type StepKind = (typeof STEP_KINDS)[number];

/**
 * What an agent says while it works; `common/reports.ts` has the vocabulary. `id` is the agent's own: the same one
 * again says nothing new.
 */
export type AgentReport = { id?: string } & (
  | {
      type: 'progress';
      status?: OpenStatus;
      currentAction?: string;
      /** 0 to 100. */
      progressPct?: number;
      /** ISO 8601. */
      estimatedCompletion?: string;
    }
  | { type: 'other'; name: string; data: JsonObject }
);

/** The final word of an agent that had answered 202. */
export type AgentCallback = Ending & {
  /** Tells callbacks apart when several race; made by the API. */
  callbackId: string;
};
