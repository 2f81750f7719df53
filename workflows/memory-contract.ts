/** What API and the workflow of a memory agree on. One workflow per scope and id keeps what agents remember there. */
import { defineSignal } from '@temporalio/workflow';
import { DEFAULT_TASK_QUEUE } from './contract.ts';
import type { Json } from './execution.ts';
import type { MemoryState } from './memory-state.ts';

export const MEMORY_WORKFLOW = 'agentMemory';

/** From the narrowest to the widest: in this order a value is looked for. */
export const MEMORY_SCOPES = ['workflow', 'session', 'actor', 'global'] as const;
export type MemoryScope = (typeof MEMORY_SCOPES)[number];

export interface MemoryName {
  scope: MemoryScope;
  /** `global` in the scope of that name. */
  scopeId: string;
}

/**
 * The workflow id of a memory. Those of deployments that share a namespace are told apart by their task queues; an id
 * is escaped, so that none can be made to look like that of another one.
 */
export function memoryWorkflowId({ scope, scopeId }: MemoryName, taskQueue: string): string {
  const id = `memory_${scope}_${encodeURIComponent(scopeId)}`;
  return taskQueue === DEFAULT_TASK_QUEUE ? id : `${id}@${taskQueue}`;
}

export function memoryOfWorkflowId(workflowId: string): MemoryName | undefined {
  const [, scope, id] = /^memory_([a-z]+)_([^@]+)/.exec(workflowId) ?? [];
  const known = MEMORY_SCOPES.find((one) => one === scope);
  return known && id !== undefined ? { scope: known, scopeId: decodeURIComponent(id) } : undefined;
}

/** An agent sets or deletes one value. */
export interface MemoryWrite {
  /** By it who wrote it finds what became of it. */
  id: string;
  /** ISO 8601, by the clock of the API. */
  at: string;
  action: 'set' | 'delete';
  key: string;
  /** Of a set. */
  data?: Json;
  agentId?: string;
  workflowId?: string;
  actorId?: string;
}

export interface AgentMemoryInput extends MemoryName {
  /** Events of one Temporal run after which the memory goes on in another. */
  maxRunEvents?: number;
  /** A memory of the scope `workflow` is forgotten when nothing was written for so long. */
  forgetAfterMs?: number;
  /** Present where this Temporal run carries on from another. */
  state?: MemoryState;
}

export const writeSignal = defineSignal<[MemoryWrite]>('write');
