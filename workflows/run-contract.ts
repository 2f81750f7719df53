/**
 * What API and workers agree on about runs: the executions that share a run id. Who belongs to a run is kept by a
 * workflow per run, its roster: see docs/decisions/005-runs.md.
 */
import { defineSignal } from '@temporalio/workflow';
import { DEFAULT_TASK_QUEUE } from './contract.ts';
import type { CancelRequest, ExecutionStatus } from './execution.ts';

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

/** The execution that a run id was made of; a client's own run id may look the same. */
export function rootOfRunId(runId: string): string | undefined {
  return /^run_[0-9a-f]{32}$/.test(runId) ? runId.replace('run_', 'exec_') : undefined;
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

export interface RunActivities {
  /** Lets nobody join the run any more, and asks all its executions to cancel, the deepest first. */
  cancelExecutions: (cancelling: RunCancelling) => Promise<RunCancelReport>;
}

export const cancelRunSignal = defineSignal<[RunCancelRequest]>('cancelRun');
