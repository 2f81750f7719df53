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
  'unanswered',
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
  | ({ status: Exclude<TerminalStatus, 'succeeded'>; partialResult?: Json } & AgentFailure);

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
  | {
      type: 'other';
      name: string;
      data: JsonObject;
      /** A checkpoint that comes with a question: it is for the turn after, and not for this one if it is lost. */
      endsTurn?: true;
    }
);

/** The last word of an agent in one turn, posted by callback. */
export type AgentCallback = (Ending | ({ status: 'waiting' } & WaitRequest)) & {
  /** Tells callbacks apart when several race; made by the API. */
  callbackId: string;
  /** The turn that it ends. Unset: the one at hand, as before there was more than one. */
  turn?: number;
  /** What the agent leaves behind with it: recorded before it, if it counts. */
  reports?: AgentReport[];
};

export const WAIT_KINDS = ['question', 'approval'] as const;
export type WaitKind = (typeof WAIT_KINDS)[number];

/** What an agent that ends its turn wants to know from a person before it goes on. */
export interface WaitRequest {
  kind: WaitKind;
  text: string;
  /** What an approval may decide. */
  options?: string[];
  /** Counted from when the execution begins to wait. Unset: as long as the execution may take. */
  expiresInMs?: number;
  /** What counts as the answer when nobody gave one in time: one of the options of an approval. Unset: it ends. */
  defaultAnswer?: Json;
}

/** A question that is open. Times are ISO 8601. */
export interface OpenWait extends Omit<WaitRequest, 'expiresInMs'> {
  /** The turn that the agent has ended with it. Unset: the first. */
  turn?: number;
  since: string;
  expiresAt?: string;
}

/** What a person said to an execution that waited; from a person's message alone, all of it is unset. */
export interface Answer {
  decision?: string;
  data?: Json;
  by?: string;
  reason?: string;
  /** Nobody said it: it is the agent's own default. */
  isDefault?: true;
  /** Tells answers apart when several race: made by the API of what is said, so that the same again has the same. */
  id?: string;
  /** The turn whose question it answers. Unset: the one at hand. */
  turn?: number;
}

/** What somebody says to a working agent. Exactly one of `text` and `data` is set. */
export interface SteerMessage {
  id: string;
  text?: string;
  data?: Json;
  /** The agent is to hold until it has dealt with this. */
  interrupt?: true;
  /** Revision of the agent's context that its sender had seen. */
  ifRev?: number;
  from?: string;
  /** Of all that is said, by which a repetition is told from another message with the same id. */
  digest?: string;
}

/** The result of a costly step, stored under a name of the agent's. */
export interface StoredStep {
  key: string;
  value: Json;
}

export const MESSAGE_STATUSES = ['accepted', 'delivered', 'applied', 'rejected', 'superseded'] as const;
export type MessageStatus = (typeof MESSAGE_STATUSES)[number];

export interface PauseRequest {
  /** ISO 8601. */
  at: string;
  by?: string;
  reason?: string;
}

export interface ResumeRequest extends Omit<PauseRequest, 'at'> {
  /** ISO 8601. Unset by API processes of before it was. */
  at?: string;
}

export interface CancelRequest {
  reason?: string;
  /** How long the agent may take to stop by itself, instead of what the policy says. */
  graceMs?: number;
}
