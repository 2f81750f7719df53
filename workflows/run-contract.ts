/**
 * What API and workers agree on about runs: the executions that share a run id. Who belongs to a run is kept by a
 * workflow per run, its roster: see docs/decisions/006-runs.md.
 */
import { defineSignal } from '@temporalio/workflow';
import { DEFAULT_TASK_QUEUE } from './contract.ts';
import type { ExecutionPolicy, SealedWebhook } from './contract.ts';
import type { CancelRequest, ExecutionStatus, TerminalStatus } from './execution.ts';

export const ROSTER_WORKFLOW = 'runRoster';
export type RunRoster = (input: RosterInput) => Promise<void>;

/** The workflow id of a run's roster. Those of deployments that share a namespace are told apart by their task queues. */
export function rosterId(runId: string, taskQueue: string): string {
  return runWorkflowId('roster', runId, taskQueue);
}

function runWorkflowId(kind: string, runId: string, taskQueue: string): string {
  return taskQueue === DEFAULT_TASK_QUEUE ? `${kind}_${runId}` : `${kind}@${taskQueue}_${runId}`;
}

/** Temporal's reason for the end of a roster whose run was cancelled: nobody joins that run any more. */
export const RUN_CANCELLED = 'the run was cancelled';

/**
 * The run id of an execution that was started without one. Made of its own id, so that whoever has the run id finds
 * the execution without anything having been written down.
 */
export function runIdOfRoot(executionId: string): string {
  return executionId.replace(/^exec_/, 'run_');
}

/**
 * The same where calls of the run reuse results of another one: who reads the id knows where to look, and nobody else
 * has to.
 */
export function runIdOfRerun(executionId: string): string {
  return executionId.replace(/^exec_/, 'rerun_');
}

export function isRerun(runId: string): boolean {
  return runId.startsWith('rerun_');
}

/** The execution that a run id was made of; a client's own run id may look the same. */
export function rootOfRunId(runId: string): string | undefined {
  return /^(re)?run_[0-9a-f]{32}$/.test(runId) ? runId.replace(/^(re)?run_/, 'exec_') : undefined;
}

/** The workflow id of the roster of those that are an execution again. */
export function restartsId(executionId: string, taskQueue: string): string {
  return runWorkflowId('restarts', executionId, taskQueue);
}

/** An execution that has joined a run. It may not have been started yet, and if somebody died then, never is. */
export interface RunMember {
  executionId: string;
  /** As its client said: there may be no such execution. */
  parentExecutionId?: string;
}

export interface RosterInput {
  runId: string;
  /** The Temporal run that has the members of before the run was quiet for long. */
  previousRunId?: string;
}

export const memberSignal = defineSignal<[RunMember]>('member');

/** The workflow id of what cancels a run. */
export function cancelRunId(runId: string, taskQueue: string): string {
  return runWorkflowId('cancel', runId, taskQueue);
}

export interface CancelRunInput {
  runId: string;
  rosterId: string;
}

export interface RunCancelRequest extends CancelRequest {
  /** Made by the API, which finds by it what became of the request. */
  requestId: string;
}

export interface RunCancelling extends CancelRunInput, CancelRequest {
  /** Those that ask for it. None: it is looked again whether somebody is left. */
  requestIds: string[];
}

/** What was done about one execution. */
export interface CancelledNode {
  executionId: string;
  /** `skipped`: it had ended. */
  did: 'cancelled' | 'skipped' | 'failed';
  /** How it was found. */
  status?: ExecutionStatus;
  error?: string;
}

export interface RunCancelReport {
  requestIds: string[];
  nodes: CancelledNode[];
}

/** The workflow id of what tells of a run's end. */
export function runEndId(runId: string, taskQueue: string): string {
  return runWorkflowId('end', runId, taskQueue);
}

/** What the webhook of a run is sealed for. No execution has such an id. */
export function runSubject(runId: string): string {
  return `run ${runId}`;
}

/** Which execution's submit asked to be told: in the memo of what tells. */
export const ASKED_BY_MEMO = 'perdureAskedBy';

export interface RunEndInput {
  runId: string;
  rosterId: string;
  /** The execution whose submit asked for it; it belongs to the run although the roster may not have it. */
  executionId: string;
  webhook: SealedWebhook;
  policy: ExecutionPolicy['webhook'];
}

/** `running` while one of its executions is open, then as its roots; `cancelled` as a whole. */
export const RUN_STATUSES = ['running', 'succeeded', 'failed', 'cancelled'] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

/** What a run has come to. Times are ISO 8601. */
export interface RunSummary {
  status: Exclude<RunStatus, 'running'>;
  executions: number;
  counts: Record<TerminalStatus, number>;
  startedAt: string;
  completedAt: string;
}

export interface RunActivities {
  /**
   * Resolves when every execution of the run has ended, its own webhook included. Until then it fails, and Temporal
   * tries again, which costs no history and holds no worker. Resolves with null where the one that asked
   * was never started.
   */
  awaitRunEnd: (run: Pick<RunEndInput, 'runId' | 'rosterId' | 'executionId'>) => Promise<RunSummary | null>;
  /** Lets nobody join the run any more, and asks all its executions to cancel, the deepest first. */
  cancelExecutions: (cancelling: RunCancelling) => Promise<RunCancelReport>;
}

export const cancelRunSignal = defineSignal<[RunCancelRequest]>('cancelRun');
