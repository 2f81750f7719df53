import { request } from 'undici';
import type { Dispatcher } from 'undici';
import type { AgentNodeDirectory } from '../common/agent-nodes.ts';
import type { CancelNotice } from '../workflows/contract.ts';

export interface TellAgentCancelledDeps {
  agentNodes: AgentNodeDirectory;
  http: Dispatcher;
}

const TIMEOUT_MS = 4_000;

/**
 * `POST {url}/_internal/executions/{id}/cancel`, as AgentField sends it, to every instance of the node: only they know
 * who has the call. Whatever an agent answers is fine.
 */
export function createTellAgentCancelled({ agentNodes, http }: TellAgentCancelledDeps) {
  return async function tellAgentCancelled(notice: CancelNotice): Promise<void> {
    const { executionId, target, outcome, reason, graceMs } = notice;
    const node = await agentNodes.find(target.node);
    if (!node) return;
    const body = JSON.stringify({
      reason: outcome === undefined || outcome.status === 'succeeded' ? reason : outcome.error,
      ...(graceMs !== undefined && { grace_ms: graceMs }),
    });
    const tell = async (url: string) => {
      const answer = await request(`${url}/_internal/executions/${executionId}/cancel`, {
        dispatcher: http,
        method: 'POST',
        headers: { ...node.headers, 'content-type': 'application/json', 'x-execution-id': executionId },
        body,
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      await answer.body.dump();
    };
    const told = await Promise.allSettled(node.instances.map(({ url }) => tell(url)));
    // It may have been the one that has the call: another try.
    for (const one of told) if (one.status === 'rejected') throw one.reason;
  };
}
