/**
 * What API, worker and workflows agree on: workflow inputs, activity interfaces, signals, the query, and the
 * search attributes. Written first; the implementations follow it. One object per call, so that a field can be
 * added without breaking stored histories.
 */
import { defineQuery, defineSignal } from '@temporalio/workflow';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import type {
  AgentCallback,
  AgentFailure,
  AgentReport,
  Answer,
  CancelRequest,
  Json,
  JsonObject,
  Outcome,
  PauseRequest,
  ResumeRequest,
  SteerMessage,
  StoredStep,
  Target,
  WaitRequest,
  WebhookAttempt,
} from './execution.ts';
import type { PermitLimits } from './permit-contract.ts';
import type { ExecutionState } from './state.ts';

export const DEFAULT_TASK_QUEUE = 'perdure';

/** Where calls of agents wait that were not made within a workflow task: they must not hold up deliveries. */
export function agentTaskQueue(taskQueue: string): string {
  return `${taskQueue}-agents`;
}

/** A webhook registration whose URL, secret and header values only a holder of the sealing key can read. */
export interface SealedWebhook {
  /** Scheme, host and port of the URL, for operators. */
  origin: string;
  /** `common/sealing.ts` format, over `{url, secret?, headers?}`. */
  sealed: string;
}

/** Time spans and retry settings of one execution, fixed when it starts. All spans in milliseconds. */
export interface ExecutionPolicy {
  agent: RetrySettings & {
    /** A worker that is silent for this long is taken for dead and the call is made again. */
    heartbeatTimeoutMs: number;
    /** Limit of one call; unset: none. */
    attemptTimeoutMs?: number;
    /**
     * How long the first call may be waited for within the workflow task that makes it; one that takes longer is
     * handed over to an activity. Unset: calls are activities from the start.
     */
    patienceMs?: number;
  };
  webhook: RetrySettings & { attemptTimeoutMs: number };
  /**
   * How long an agent that is asked to cancel may take to stop by itself. Unset in executions of before there was one:
   * they end at once, and their calls have the time limit themselves, so that being paused does not stop it.
   */
  cancelGraceMs?: number;
  /** Set where the agent takes only so many executions at a time. */
  permits?: PermitLimits;
  /** Events of one Temporal run after which the execution goes on in another, as soon as no call is in flight. */
  maxRunEvents?: number;
}

export interface RetrySettings {
  maximumAttempts: number;
  initialIntervalMs: number;
  backoffCoefficient: number;
  maximumIntervalMs: number;
}

/** Identity of an execution, as it is handed to agents and receivers. */
export interface ExecutionContext {
  runId: string;
  parentExecutionId?: string;
  sessionId?: string;
  actorId?: string;
}

export interface ExecuteTargetInput extends ExecutionContext {
  target: Target;
  input: JsonObject;
  /** Stored with the execution, never sent to the agent. */
  context?: JsonObject;
  /** ISO 8601, by the clock of the API process that accepted it. */
  createdAt: string;
  /** Limit of the whole execution, from its start. Unset: none. */
  timeoutMs?: number;
  /** As Temporal takes it for its task queues, and permits go by it too. Unset: 3, and no key. */
  priority?: { priorityKey?: number; fairnessKey?: string };
  webhook?: SealedWebhook;
  /** Keyed hash of the request, present when it came with an `Idempotency-Key`. */
  requestMac?: string;
  policy: ExecutionPolicy;
  /** Present where this Temporal run carries on from another, whose history had become long. */
  carried?: CarriedExecution;
}

/** An execution between two of its Temporal runs. */
export interface CarriedExecution {
  state: ExecutionState;
  /** The Temporal run before, which has the older part of the log. */
  previousRunId: string;
  /** ISO 8601. */
  firstRunStartedAt: string;
  pausedMs: number;
  /** The agent has said 202 in this turn. */
  isAccepted: boolean;
  accepted?: Accepted;
  /** What the turn begins with that is about to: it was held before its call. */
  answer?: Answer;
}

/** Sends the webhook of a finished execution again, as a further Temporal run of the same workflow id. */
export interface RedeliverWebhookInput {
  /** All that was known at the end of the run before, so that readers see one continuous execution. */
  state: ExecutionState;
  /** The Temporal run before, which has the older part of the log. */
  previousRunId?: string;
  policy: ExecutionPolicy;
}

export interface AgentCall extends ExecutionContext {
  executionId: string;
  target: Target;
  input: JsonObject;
  /** Limit of one call; unset: none. */
  timeoutMs?: number;
  /** Calls that were made before this activity: numbering goes on from there. Unset: none. */
  attemptsBefore?: number;
  /** The worker may still hold a call of this execution whose workflow task came to nothing. */
  mayBeHeld?: true;
  /** The execution was paused, or asked to cancel, when this was scheduled: no further call is made for now. */
  isHeld?: true;
  /** No further call is allowed: one that is not held has failed. */
  mustBeHeld?: true;
  /** The agent goes on: after it had ended a turn to wait, or with the checkpoint of a call that came to nothing. */
  continuation?: Continuation;
  /** The instance that had said 202 and is gone. */
  handedOverFrom?: string;
  /**
   * When the execution's time is over, as it looks when the call is scheduled, ISO 8601: a retry that would come later
   * is left to the workflow.
   */
  retryUntil?: string;
}

/** What an agent gets that goes on. */
export interface Continuation {
  turn: number;
  checkpoint?: Json;
  /** What its question was answered with; unset in the first turn. */
  answer?: Answer;
  messages: SteerMessage[];
}

export interface FirstAgentCall extends AgentCall {
  patienceMs: number;
  /**
   * When Temporal gives the workflow task at hand to another worker, ISO 8601: one that was stopped in the middle and
   * comes back later must not call.
   */
  taskEndsAt: string;
  /** A worker had this task before and did not end it: it may have called the agent. */
  isDoneOver: boolean;
}

export type AgentAnswer =
  | { kind: 'result'; result: Json }
  | ({ kind: 'accepted' } & Accepted)
  | { kind: 'waiting'; wait: WaitRequest }
  | CallHandedBack;

/** A call that an agent has acknowledged. */
export interface Accepted {
  /** Where it is known. */
  holder?: Holder;
  /** Calls so far, it included; unset: as many as the workflow knows of. */
  attempts?: number;
}

/** The process of an agent that has a call. */
export interface Holder {
  instanceId: string;
  /** How often it had registered by then: it may come back after it was lost. */
  registrations: number;
}

/** The agent is to be called again, and it is for the workflow to say when. */
export interface CallHandedBack {
  kind: 'handed-back';
  /** Calls so far. */
  attempts: number;
  /** Why the last one failed; unset where one was not made because the execution is paused, or nobody is there. */
  failure?: AgentFailure;
  retryDelayMs?: number;
  /** No instance of the agent node is there to be called. */
  isUnserved?: true;
}

/** The agent takes its time; the worker that polls this task queue holds the call. */
export interface CallInFlight {
  kind: 'in-flight';
  taskQueue: string;
}

/** This call was not made: the worker holds as many as it may, or somebody may have made it before. */
export interface CallDeclined {
  kind: 'declined';
  mayHaveBeenMade: boolean;
}

export interface CancelNotice {
  executionId: string;
  target: Target;
  /** Here so that the outcome is in history before the agent is told. Unset: it is asked to stop by itself. */
  outcome?: Outcome;
  reason?: string;
  /** How long it has for that. */
  graceMs?: number;
}

export interface WebhookDelivery {
  executionId: string;
  runId: string;
  target: Target;
  webhook: SealedWebhook;
  outcome: Outcome;
  /** Attempts of earlier deliveries of the same event: numbering goes on from here. */
  attemptsBefore: number;
  /** Attempts of this delivery. */
  maximumAttempts: number;
  timeoutMs: number;
}

export interface Activities {
  /** Calls one reasoner or skill of one agent node. Resolves with its result, or with `accepted` if it answered 202. */
  callAgent: (call: AgentCall) => Promise<AgentAnswer>;
  /** Local activity: makes the first call, and gives it out of hand when the agent takes its time. */
  beginAgentCall: (call: FirstAgentCall) => Promise<AgentAnswer | CallInFlight | CallDeclined>;
  /** Waits for a call that `beginAgentCall` has begun, in the worker that holds it. */
  followAgentCall: (call: AgentCall) => Promise<AgentAnswer>;
  /** Makes one attempt at a delivery; throws when it failed. Temporal does the retrying. */
  deliverWebhook: (delivery: WebhookDelivery) => Promise<WebhookAttempt>;
  /** Resolves once an instance of a node that has registered is there. */
  awaitInstance: (node: { node: string }) => Promise<void>;
  /** Tells an agent, best effort, that nobody waits for this execution any more. */
  tellAgentCancelled: (notice: CancelNotice) => Promise<void>;
}

/** Progress, steps and notes of a working agent, in batches. */
export const agentReportSignal = defineSignal<[AgentReport[]]>('agentReport');
/** The outcome that an agent posted after it had answered 202. The first one counts. */
export const agentCallbackSignal = defineSignal<[AgentCallback]>('agentCallback');
/** Something that a person says to the agent. */
export const steerSignal = defineSignal<[SteerMessage]>('steer');
export const pauseSignal = defineSignal<[PauseRequest]>('pause');
/** Lets an execution go on that is paused. */
export const resumeSignal = defineSignal<[ResumeRequest]>('resume');
/** Answers what an execution waits for. */
export const answerSignal = defineSignal<[Answer]>('answer');
/** Sent ahead of a cancel request, which cannot itself carry anything into workflow code. */
export const cancelRequestSignal = defineSignal<[CancelRequest]>('cancelRequest');
/** The same from API processes of before there was a grace. */
export const cancelReasonSignal = defineSignal<[string]>('cancelReason');
/** Keeps the result of a step. */
export const storeStepSignal = defineSignal<[StoredStep]>('storeStep');
/** A process that serves an agent node is gone: what it had said 202 to goes to another one. */
export const instanceLostSignal = defineSignal<[Holder]>('instanceLost');
/** A failed attempt that Temporal will retry; the last one of a delivery rides on the activity's own end. */
export const webhookAttemptSignal = defineSignal<[WebhookAttempt]>('webhookAttempt');

/** The execution as its own workflow sees it: the same fold as the API's projection of the history. */
export const stateQuery = defineQuery<ExecutionState>('state');

/** Search attributes, all Keyword. `temporal-dev.sh` registers the same names. */
export const SEARCH_ATTRIBUTES = {
  target: defineSearchAttributeKey('PerdureTarget', SearchAttributeType.KEYWORD),
  runId: defineSearchAttributeKey('PerdureRunId', SearchAttributeType.KEYWORD),
  parentExecutionId: defineSearchAttributeKey('PerdureParentExecutionId', SearchAttributeType.KEYWORD),
  /** Written only where Temporal's own close status does not tell the outcome, or not yet. */
  outcome: defineSearchAttributeKey('PerdureOutcome', SearchAttributeType.KEYWORD),
} as const;
