/**
 * Permits: an agent node that takes so many executions at a time has a workflow that hands them out, across all
 * workers and API processes. What has said 202 keeps its permit until its callback.
 */
import { defineQuery, defineSignal } from '@temporalio/workflow';
import { DEFAULT_TASK_QUEUE } from './contract.ts';

export const PERMITS_WORKFLOW = 'agentPermits';

export function permitsWorkflowId(node: string, taskQueue: string): string {
  return taskQueue === DEFAULT_TASK_QUEUE ? `permits_${node}` : `permits_${node}@${taskQueue}`;
}

/** How many executions may be with an agent at a time. Unset: any number. */
export interface PermitLimits {
  node?: number;
  target?: number;
}

export interface PermitRequest {
  executionId: string;
  /** Name of the reasoner or skill. */
  target: string;
  /** 1 goes first, 5 last. */
  priority: number;
  limits: PermitLimits;
}

export interface PermitsState {
  node: string;
  /** In the order in which they were granted. */
  held: Pick<PermitRequest, 'executionId' | 'target'>[];
  /** In the order in which they are to be granted. */
  waiting: PermitRequest[];
}

export interface PermitActivities {
  /** Puts an execution into the queue of its node. */
  requestPermit: (request: PermitRequest & { node: string }) => Promise<void>;
  /** Which of these executions have ended without a word, as when an operator has terminated them. */
  findEnded: (executionIds: string[]) => Promise<string[]>;
}

export const requestPermitSignal = defineSignal<[PermitRequest]>('requestPermit');
export const releasePermitSignal = defineSignal<[{ executionId: string }]>('releasePermit');
/** To the execution. */
export const permitGrantedSignal = defineSignal('permitGranted');
/** Who waits, in order. */
export const permitQueueQuery = defineQuery<string[]>('permitQueue');
