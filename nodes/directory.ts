import type { AgentInstance, AgentNode, AgentNodeDirectory } from '../common/agent-nodes.ts';
import { isLive, isThere } from '../workflows/node-state.ts';
import type { NodeState } from '../workflows/node-state.ts';
import type { NodeRegistry } from './registry.ts';

/** Where agent nodes are found: what the operator has written down, else those that have registered. */
export function createDirectory(
  written: AgentNodeDirectory,
  registry: Pick<NodeRegistry, 'find' | 'watch'>,
): AgentNodeDirectory {
  return {
    find: async (node) => {
      const known = await written.find(node);
      if (known) return known;
      const registered = await registry.find(node);
      return registered && agentNodeOf(registered.state);
    },
    names: () => written.names(),
    onLost: (node, { holder }, onLost) => {
      if (!holder) return () => undefined;
      return registry.watch(node, (state) => {
        // A node that is forgotten has been without anybody for days.
        const instance = state?.instances.find((one) => one.instanceId === holder.instanceId);
        if (state && (!instance || !isThere(instance))) onLost();
      });
    },
  };
}

export function agentNodeOf(state: NodeState): AgentNode {
  const { node, reasoners, skills, instances, isUnchecked, maxConcurrent } = state;
  const functions = [...reasoners, ...skills];
  const limits = functions.flatMap(({ name, maxConcurrent: max }): [string, number][] =>
    max === undefined ? [] : [[name, max]],
  );
  return {
    node,
    instances: instances
      .filter((one) => isLive(one) || one.status === 'draining')
      .map(({ instanceId, registrations, baseUrl, status }): AgentInstance => {
        return {
          holder: { instanceId, registrations },
          url: baseUrl,
          ...(status === 'draining' && { isDraining: true }),
        };
      }),
    reasoners: reasoners.map(({ name }) => name),
    skills: skills.map(({ name }) => name),
    headers: {},
    retry: {},
    ...(maxConcurrent !== undefined && { maxConcurrent }),
    ...(limits.length > 0 && { maxConcurrentOf: new Map(limits) }),
    ...(!isUnchecked && {
      inputSchemas: new Map(functions.flatMap(({ name, inputSchema }) => (inputSchema ? [[name, inputSchema]] : []))),
    }),
  };
}
