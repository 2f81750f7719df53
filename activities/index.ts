import { Agent } from 'undici';
import type { Dispatcher } from 'undici';
import type { AgentNodeDirectory } from '../common/agent-nodes.ts';
import type { Sealer } from '../common/sealing.ts';
import type { Activities } from '../workflows/contract.ts';
import type { NodeActivities } from '../workflows/node-contract.ts';
import type { PermitActivities } from '../workflows/permit-contract.ts';
import { createCallAgent } from './call-agent.ts';
import type { CallAgentDeps } from './call-agent.ts';
import { createDeliverWebhook } from './deliver-webhook.ts';
import { createNodeActivities } from './node-lease.ts';
import { permitActivities } from './permits.ts';
import { createTellAgentCancelled } from './tell-agent-cancelled.ts';

export interface ActivityDeps extends Omit<CallAgentDeps, 'http'> {
  agentNodes: AgentNodeDirectory;
  sealer: Sealer;
  /** One pool of connections for agents, one for receivers: neither can starve the other. */
  agentHttp: Dispatcher;
  webhookHttp: Dispatcher;
}

export function createActivities(deps: ActivityDeps): Activities & NodeActivities & PermitActivities {
  const { agentNodes, sealer, agentHttp, webhookHttp } = deps;
  return {
    ...createCallAgent({ ...deps, http: agentHttp }),
    deliverWebhook: createDeliverWebhook({ sealer, http: webhookHttp }),
    ...createNodeActivities(agentNodes),
    ...permitActivities,
    tellAgentCancelled: createTellAgentCancelled({ agentNodes, http: agentHttp }),
  };
}

/** Connections to agents: an agent may think for hours before its first byte, so only connecting is limited. */
export function createAgentHttp(): Dispatcher {
  return new Agent({ headersTimeout: 0, bodyTimeout: 0, connect: { timeout: 10_000 } });
}

/** Connections to webhook receivers; each attempt has its own total limit on top. */
export function createWebhookHttp(): Dispatcher {
  return new Agent({ connect: { timeout: 5_000 } });
}
