import type { z } from 'zod';
import type { AgentNode } from '../common/agent-nodes.ts';
import type { NodeFunction } from '../workflows/node-contract.ts';
import { isLive, isThere } from '../workflows/node-state.ts';
import type { NodeState } from '../workflows/node-state.ts';
import type { nodeView as schema } from './node-schemas.ts';

/** Of those that are lost. */
const MAX_LOST = 5;

/** Agent nodes to JSON, in AgentField's names. */

export function nodeView(state: NodeState, lastHeartbeats?: ReadonlyMap<string, string>): z.infer<typeof schema> {
  const { details = {}, instances } = state;
  const newest = instances.findLast(isLive) ?? instances.at(-1);
  const heardOf = [...(lastHeartbeats?.values() ?? [])].toSorted().at(-1);
  const isActive = instances.some(isLive);
  return {
    ...details,
    id: state.node,
    base_url: newest?.baseUrl ?? null,
    version: newest?.version ?? null,
    source: 'registered',
    health_status: isActive ? 'active' : 'inactive',
    lifecycle_status: newest ? phaseOf(newest.status) : null,
    registered_at: newest?.registeredAt ?? null,
    last_heartbeat: heardOf ?? newest?.renewedAt ?? null,
    reasoners: state.reasoners.map(functionView),
    skills: state.skills.map(functionView),
    instances: [...instances.filter((one) => !isThere(one)).slice(-MAX_LOST), ...instances.filter(isThere)].map(
      (one) => ({
        instance_id: one.instanceId,
        base_url: one.baseUrl,
        version: one.version ?? null,
        status: one.status,
        registered_at: one.registeredAt,
        renewed_at: one.renewedAt,
        last_heartbeat: (isThere(one) ? lastHeartbeats?.get(one.instanceId) : undefined) ?? null,
        lease_ms: one.leaseMs,
      }),
    ),
  };
}

/** One that an operator has written down: nothing is heard of it. */
export function configuredView({ node, instances, reasoners, skills }: AgentNode): z.infer<typeof schema> {
  const url = instances[0]?.url ?? null;
  return {
    id: node,
    base_url: url,
    version: null,
    source: 'configured',
    health_status: 'unknown',
    lifecycle_status: null,
    registered_at: null,
    last_heartbeat: null,
    reasoners: (reasoners ?? []).map((id) => ({ id })),
    skills: (skills ?? []).map((id) => ({ id })),
    instances: instances.map((one) => ({
      instance_id: null,
      base_url: one.url,
      version: null,
      status: 'live',
      registered_at: null,
      renewed_at: null,
      last_heartbeat: null,
      lease_ms: null,
    })),
  };
}

function phaseOf(status: NodeState['instances'][number]['status']) {
  return status === 'live' ? 'ready' : status === 'lost' ? 'offline' : status;
}

function functionView({ name, inputSchema, outputSchema, tags, description, maxConcurrent }: NodeFunction) {
  return {
    id: name,
    ...(inputSchema && { input_schema: inputSchema }),
    ...(outputSchema && { output_schema: outputSchema }),
    tags: tags ?? [],
    ...(description !== undefined && { description }),
    ...(maxConcurrent !== undefined && { max_concurrent: maxConcurrent }),
  };
}
