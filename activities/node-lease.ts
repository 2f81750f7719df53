import { connect } from 'node:net';
import { ApplicationFailure, CompleteAsyncError, Context } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/client';
import { pickInstance } from '../common/agent-nodes.ts';
import type { AgentNodeDirectory } from '../common/agent-nodes.ts';
import { mapLimited } from '../common/map-limited.ts';
import { instanceLostSignal } from '../workflows/contract.ts';
import type { Activities } from '../workflows/contract.ts';
import type { NodeActivities } from '../workflows/node-contract.ts';

const CONNECT_MS = 2_000;
/** Who listens and takes no connection for a moment is not dead. */
const TRIES = 2;
const PARALLEL_SIGNALS = 20;
/** Names in one query of Temporal's visibility. */
const MAX_NAMES = 50;
const LOOK_FOR_INSTANCE_MS = 2_000;

/** The activities by which it is known who serves an agent node. */
export function createNodeActivities(
  agentNodes: AgentNodeDirectory,
): NodeActivities & Pick<Activities, 'awaitInstance'> {
  return {
    holdLease: () => Promise.reject(new CompleteAsyncError()),

    probeInstance: async ({ instanceId, baseUrl, registrations }) => {
      let isAlive = false;
      for (let tries = 0; tries < TRIES && !isAlive; tries++) isAlive = await accepts(new URL(baseUrl));
      return { instanceId, registrations, isAlive };
    },

    handOver: async ({ targets, holder }) => {
      const { client, heartbeat } = Context.current();
      const told = new Set<string>();
      for (let i = 0; i < targets.length; i += MAX_NAMES) {
        const names = targets.slice(i, i + MAX_NAMES).map((name) => `"${name}"`);
        const query = `WorkflowType="executeTarget" AND ExecutionStatus="Running" AND PerdureTarget IN (${names.join(',')})`;
        for await (const { workflowId } of client.workflow.list({ query, pageSize: 1000 })) told.add(workflowId);
        heartbeat();
      }
      await mapLimited([...told], PARALLEL_SIGNALS, async (executionId) => {
        try {
          await client.workflow.getHandle(executionId).signal(instanceLostSignal, holder);
        } catch (err) {
          // It has ended since.
          if (!(err instanceof WorkflowNotFoundError)) throw err;
        }
        heartbeat();
      });
      return told.size;
    },

    awaitInstance: async ({ node }) => {
      const known = await agentNodes.find(node);
      if (known && pickInstance(known, new Set())) return;
      const error = `no instance of agent node "${node}" is there`;
      throw ApplicationFailure.create({
        message: error,
        type: 'node_unavailable',
        details: [{ error, category: 'node_unavailable' }],
        nextRetryDelay: LOOK_FOR_INSTANCE_MS,
      });
    },
  };
}

/** Whether somebody takes a connection there. */
function accepts({ hostname, port, protocol }: URL): Promise<boolean> {
  return new Promise((resolve) => {
    const host = hostname.replace(/^\[|\]$/g, '');
    const socket = connect({ host, port: Number(port) || (protocol === 'https:' ? 443 : 80), timeout: CONNECT_MS });
    const end = (isAlive: boolean) => {
      socket.destroy();
      resolve(isAlive);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}
