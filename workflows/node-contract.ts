/** What API, workers and the workflow of an agent node agree on. One workflow per node keeps who serves it. */
import { defineSignal } from '@temporalio/workflow';
import { DEFAULT_TASK_QUEUE } from './contract.ts';
import type { Holder } from './contract.ts';
import type { JsonObject } from './execution.ts';
import type { NodeState } from './node-state.ts';

export const NODE_WORKFLOW = 'agentNode';

/** The workflow id of a node. Those of deployments that share a namespace are told apart by their task queues. */
export function nodeWorkflowId(node: string, taskQueue: string): string {
  return taskQueue === DEFAULT_TASK_QUEUE ? `node_${node}` : `node_${node}@${taskQueue}`;
}

export function nodeOfWorkflowId(workflowId: string): string {
  return workflowId.slice('node_'.length).split('@', 1)[0] ?? '';
}

/** One reasoner or skill, as its node registered it. */
export interface NodeFunction {
  name: string;
  /** JSON Schema of its input, where it has one. */
  inputSchema?: JsonObject;
  outputSchema?: JsonObject;
  tags?: string[];
  description?: string;
  /** How many executions of it the node takes at a time. Unset: any number. */
  maxConcurrent?: number;
}

/** A process that serves a node says that it is there. */
export interface Registration {
  /** The agent's own id of its process; made of its URL where it has none. */
  instanceId: string;
  baseUrl: string;
  version?: string;
  reasoners: NodeFunction[];
  skills: NodeFunction[];
  /** It is asked after, and then taken for dead, when nothing was heard of it for so long. */
  leaseMs: number;
  /** ISO 8601, by the clock of the API. */
  at: string;
  /** The process has just begun: what one of the same id had in hand before is lost. */
  isFresh?: true;
  /** What else it said of itself, for whoever looks. */
  details?: JsonObject;
  /** Inputs are not held against the schemas. */
  isUnchecked?: true;
  /** How many executions it takes at a time, by all of its instances together. Unset: any number. */
  maxConcurrent?: number;
}

/** `offline`: it has gone, and will not be back under this id. */
export const INSTANCE_PHASES = ['starting', 'ready', 'draining', 'offline'] as const;
export type InstancePhase = (typeof INSTANCE_PHASES)[number];

export interface PhaseChange {
  instanceId: string;
  phase: InstancePhase;
  reason?: string;
}

export interface AgentNodeInput {
  node: string;
  /** Present where this Temporal run carries on from another. */
  state?: NodeState;
}

export interface Lease {
  node: string;
  instanceId: string;
}

/** An answer that is older than the newest registration of the instance is void. */
export interface Probe extends Holder {
  baseUrl: string;
}

export interface ProbeResult extends Holder {
  isAlive: boolean;
}

export interface HandOver {
  /** `node.name` of all that the node serves. */
  targets: string[];
  holder: Holder;
}

export interface NodeActivities {
  /** Goes on for as long as the API, which heartbeats it, hears of the instance. */
  holdLease: (lease: Lease) => Promise<void>;
  /** Whether somebody listens there: an agent that is too busy to say a word still does. */
  probeInstance: (probe: Probe) => Promise<ProbeResult>;
  /** Tells the executions that this instance may have in hand that it is gone. Resolves with how many were told. */
  handOver: (handOver: HandOver) => Promise<number>;
}

export const registerSignal = defineSignal<[Registration]>('register');
export const phaseSignal = defineSignal<[PhaseChange]>('phase');
