/**
 * The one reducer. The workflow folds what it does through it, the API folds the workflow's history through it,
 * so the `state` query, polls, sync answers and webhooks cannot disagree.
 */
import type { AgentCall, ExecuteTargetInput, ExecutionContext, Holder, RestartOf, SealedWebhook } from './contract.ts';
import { isTerminal } from './execution.ts';
import type {
  AgentCallback,
  AgentReport,
  Answer,
  CancelRequest,
  Ending,
  ExecutionStatus,
  Json,
  JsonObject,
  Lane,
  OpenWait,
  Outcome,
  PauseRequest,
  ResumeRequest,
  SteerMessage,
  StoredStep,
  StepKind,
  Target,
  WebhookAttempt,
} from './execution.ts';
import { applyReport, isKnown } from './agent-reports.ts';
import type { PatchedDocument } from './json-patch.ts';
import { openMessages } from './messages.ts';
import type { Receipt, TrackedMessage } from './messages.ts';
import { applyStep } from './steps.ts';
import type { KeptStep } from './steps.ts';
import { applyAnswer, applyMessage, applyPause, applyReceipt, applyResume, openStatusOf } from './steering.ts';

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
  /** The one that came with a question, until that is open. */
  nextCheckpoint?: Json;
  /** What there is of a result, should the execution not succeed; each one replaces the one before. */
  partialResult?: Json;
  /** What the agent shows of its memory, and how often that has been patched. */
  context?: PatchedDocument & { rev: number };
  /** How often the agent was given the word; unset: once. */
  turn?: number;
  /** The agent has ended its turn with a question. */
  waiting?: OpenWait;
  /** Somebody has answered, and the agent is about to get the word again. */
  answer?: Answer;
  /** The newest answers that counted: the turn whose question it was, and the id of the answer if it has one. */
  answered?: { turn: number; id?: string }[];
  /** A person holds the execution. */
  paused?: { since: string; by?: string; reason?: string };
  /** The agent was asked to cancel, and may take a while. */
  isCancelling?: true;
  messages?: TrackedMessage[];
  /** Its place with an agent that takes only so many at a time: asked for since then, and perhaps granted. */
  permit?: { since: string; isGranted?: true };
  /** Results that the agent has stored, the newest last. */
  steps?: KeptStep[];
  outcome?: Outcome;
  /** Another execution of which this is one again. */
  restartOf?: Omit<RestartOf, 'checkpoint'>;
  /** The execution that has the result from its agent. */
  reusedFrom?: string;
  webhook?: SealedWebhook;
  webhookEvents: WebhookAttempt[];
  /** Number of the newest log entry; every visible change has one. */
  sequence: number;
  /** Not visible to clients: what decides races and retries. */
  callback?: AgentCallback;
  cancelReason?: string;
  cancelGraceMs?: number;
  /** Ids of the newest events of the agent's. */
  eventIds?: string[];
  requestMac?: string;
  /** Processes of agents that are gone, the newest last. */
  lostInstances?: Holder[];
}

export type LogEntry =
  | { kind: 'running'; at: string; lane: Lane; turn?: number }
  | { kind: 'report'; report: AgentReport }
  | { kind: 'callback'; callback: AgentCallback }
  | { kind: 'message'; message: SteerMessage }
  | { kind: 'receipt'; receipt: Receipt }
  | { kind: 'context-rejected'; data: JsonObject }
  | { kind: 'pause'; request: PauseRequest }
  | { kind: 'resume'; request: ResumeRequest }
  | { kind: 'answer'; answer: Answer }
  | { kind: 'paused' | 'resumed'; by?: string; reason?: string }
  | { kind: 'waiting'; wait: OpenWait }
  | { kind: 'answered'; answer: Answer }
  | { kind: 'step'; step: StoredStep }
  | { kind: 'permit-requested'; at: string }
  | { kind: 'permit-granted' | 'permit-released' }
  | { kind: 'instance-lost'; holder: Holder }
  | { kind: 'handed-over'; instanceId: string }
  | { kind: 'cancel-request'; request: CancelRequest }
  | { kind: 'cancelling'; reason?: string; graceMs: number }
  | { kind: 'outcome'; outcome: Outcome }
  | { kind: 'webhook-attempt'; attempt: WebhookAttempt };

const MAX_LOST_INSTANCES = 20;

/** Told of every entry that gets a number, which is what clients see as the execution's log. */
export type OnNumbered = (sequence: number, entry: LogEntry) => void;

export function initialState(executionId: string, input: ExecuteTargetInput): ExecutionState {
  const { target, runId, parentExecutionId, sessionId, actorId, createdAt, webhook, requestMac, reused } = input;
  const { checkpoint, ...restartOf } = input.restartOf ?? {};
  return {
    executionId,
    target,
    runId,
    ...(parentExecutionId !== undefined && { parentExecutionId }),
    ...(sessionId !== undefined && { sessionId }),
    ...(actorId !== undefined && { actorId }),
    createdAt,
    status: 'queued',
    ...(input.restartOf && { restartOf: restartOf as RestartOf }),
    ...(checkpoint !== undefined && { checkpoint }),
    ...(reused && { reusedFrom: reused.executionId }),
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
  if (entry.kind === 'webhook-attempt') {
    for (const attempt of newAttempts(state, entry.attempt)) {
      state.webhookEvents.push(attempt);
      number({ kind: 'webhook-attempt', attempt });
    }
    return;
  }
  if (state.outcome) return;
  switch (entry.kind) {
    case 'running':
      return applyRunning(state, entry, number);
    case 'report':
      if (!isKnown(state, entry.report)) applyReport(state, entry.report, number);
      return;
    case 'callback':
      return applyCallback(state, entry.callback, number);
    case 'message':
      return applyMessage(state, entry.message, number);
    case 'receipt':
      return applyReceipt(state, entry.receipt, number);
    case 'pause':
      return applyPause(state, entry.request, number);
    case 'resume':
      return applyResume(state, entry.request, number);
    case 'answer':
      return applyAnswer(state, entry.answer, number);
    case 'paused':
    case 'resumed':
    case 'answered':
    case 'context-rejected':
      // What others are recorded as.
      return;
    case 'waiting':
      delete state.callback;
      if (state.nextCheckpoint !== undefined) state.checkpoint = state.nextCheckpoint;
      delete state.nextCheckpoint;
      state.waiting = entry.wait;
      state.status = openStatusOf(state);
      return number(entry);
    case 'cancel-request': {
      const { reason, graceMs } = entry.request;
      if (reason !== undefined) state.cancelReason ??= reason;
      if (graceMs !== undefined) state.cancelGraceMs = Math.min(graceMs, state.cancelGraceMs ?? Infinity);
      return;
    }
    case 'permit-requested':
      state.permit = { since: entry.at };
      return;
    case 'permit-granted':
      // One that comes after it was given back is of no use: it goes back with the end of the execution.
      if (state.permit) state.permit = { ...state.permit, isGranted: true };
      return;
    case 'permit-released':
      delete state.permit;
      return;
    case 'step':
      return applyStep(state, entry.step, number);
    case 'instance-lost':
      state.lostInstances = [...(state.lostInstances ?? []), entry.holder].slice(-MAX_LOST_INSTANCES);
      return;
    case 'handed-over':
      return number(entry);
    case 'cancelling':
      state.isCancelling = true;
      return number(entry);
    case 'outcome':
      for (const { id } of openMessages(state.messages))
        applyReceipt(state, { id, status: 'rejected', reason: 'the execution has ended' }, number);
      state.outcome = entry.outcome;
      state.status = entry.outcome.status;
      delete state.paused;
      delete state.waiting;
      return number(entry);
  }
}

/** Folds in that a call of the agent is about to be made. */
export function beginCall(
  state: ExecutionState,
  {
    at,
    lane,
    continuation,
    handedOverFrom,
  }: { at: string; lane: Lane } & Pick<AgentCall, 'continuation' | 'handedOverFrom'>,
  onNumbered?: OnNumbered,
): void {
  const fold = (entry: LogEntry) => append(state, entry, onNumbered);
  const { answer, turn, messages = [] } = continuation ?? {};
  if (answer?.isDefault) fold({ kind: 'answer', answer });
  if (handedOverFrom !== undefined) fold({ kind: 'handed-over', instanceId: handedOverFrom });
  fold({ kind: 'running', at, lane, ...(turn !== undefined && { turn }) });
  for (const { id } of messages) fold({ kind: 'receipt', receipt: { id, status: 'delivered' } });
}

/** Gives an entry its number. */
export type Numbering = (entry: LogEntry) => void;

function applyRunning(state: ExecutionState, entry: LogEntry & { kind: 'running' }, number: Numbering): void {
  const { at, lane, turn = 1 } = entry;
  if (state.lane === lane && turn === (state.turn ?? 1)) return;
  if (state.startedAt === undefined) {
    state.status = 'running';
    state.startedAt = at;
  }
  state.lane = lane;
  if (turn > 1) {
    state.turn = turn;
    delete state.waiting;
    delete state.answer;
    state.status = openStatusOf(state);
  }
  number(entry);
}

/** The first one of a turn counts: one that is late, or was sent twice, is not the word of the turn after. */
function applyCallback(state: ExecutionState, callback: AgentCallback, number: Numbering): void {
  if (state.callback || !(callback.turn === undefined || callback.turn === turnAtHand(state))) return;
  const { reports = [], ...word } = callback;
  for (const report of reports) if (!isKnown(state, report)) applyReport(state, report, number);
  state.callback = word;
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
  const { partialResult } = state;
  return {
    ...ending,
    ...(ending.status !== 'succeeded' && partialResult !== undefined && { partialResult }),
    ...(state.startedAt !== undefined && { startedAt: state.startedAt }),
    completedAt: at,
    durationMs: Math.max(0, Date.parse(at) - Date.parse(since)),
    // Messages that the agent has not dealt with get a last entry before it.
    sequence: state.sequence + openMessages(state.messages).length + 1,
  };
}

export function cancelledEnding(state: ExecutionState): Ending {
  return { status: 'cancelled', error: cancelledError(state), category: 'cancelled' };
}

export function cancelledError({ cancelReason }: ExecutionState): string {
  return cancelReason === undefined ? 'Execution cancelled' : `Execution cancelled: ${cancelReason}`;
}

/** The turn in which the agent has the word, or gets it next. */
export function turnOf({ turn = 1, waiting }: ExecutionState): number {
  return waiting ? turn + 1 : turn;
}

/** The turn in which the agent has the word; undefined while it waits for an answer. */
function turnAtHand({ turn = 1, waiting }: ExecutionState): number | undefined {
  return waiting ? undefined : turn;
}

export function isOver(state: ExecutionState): boolean {
  return isTerminal(state.status);
}
