import type { z } from 'zod';
import type { MemoryName } from '../workflows/memory-contract.ts';
import type { MemoryChange, MemoryEntry } from '../workflows/memory-state.ts';
import type { memoryEvent, memoryValue } from './memory-schemas.ts';

export function valueView(
  { scope, scopeId }: MemoryName,
  key: string,
  entry: MemoryEntry,
): z.infer<typeof memoryValue> {
  const { data, rev, createdAt, updatedAt } = entry;
  return {
    scope,
    scope_id: scopeId,
    key,
    data,
    // AgentField has these two, and nothing to say in them.
    access_level: '',
    created_at: createdAt,
    updated_at: updatedAt,
    metadata: {},
    rev,
  };
}

export function memoryEventView({ scope, scopeId }: MemoryName, change: MemoryChange): z.infer<typeof memoryEvent> {
  const { id, at, key, action, data, previousData, agentId, actorId, workflowId, rev } = change;
  return {
    id,
    type: 'memory_change',
    timestamp: at,
    scope,
    scope_id: scopeId,
    key,
    action,
    data: data ?? null,
    previous_data: previousData ?? null,
    metadata: {
      ...(agentId !== undefined && { agent_id: agentId }),
      ...(actorId !== undefined && { actor_id: actorId }),
      ...(workflowId !== undefined && { workflow_id: workflowId }),
    },
    rev,
  };
}
