import { request } from 'undici';
import type { Dispatcher } from 'undici';
import type { AgentNodeDirectory } from '../common/agent-nodes.ts';
import type { CancelNotice } from '../workflows/contract.ts';

export interface TellAgentCancelledDeps {
  agentNodes: AgentNodeDirectory;
  http: Dispatcher;
}

const TIMEOUT_MS = 4_000;

/** `POST {url}/_internal/executions/{id}/cancel`, as AgentField sends it. Whatever the agent answers is fine. */
export function createTellAgentCancelled({ agentNodes, http }: TellAgentCancelledDeps) {
  return async function tellAgentCancelled({
    executionId,
    target,
    outcome,
    reason,
    graceMs,
  }: CancelNotice): Promise<void> {
    const node = await agentNodes.find(target.node);
    if (!node) return;
    const { body } = await request(`${node.url}/_internal/executions/${executionId}/cancel`, {
      dispatcher: http,
      method: 'POST',
      headers: { ...node.headers, 'content-type': 'application/json', 'x-execution-id': executionId },
      body: JSON.stringify({
        reason: outcome === undefined || outcome.status === 'succeeded' ? reason : outcome.error,
        ...(graceMs !== undefined && { grace_ms: graceMs }),
      }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await body.dump();
  };
}
