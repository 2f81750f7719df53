/** The bare Temporal SDK, as its documentation teaches it: the same two calls, and nothing else. */
import { proxyActivities } from '@temporalio/workflow';

export interface BaselineActivities {
  postToAgent: (call: { url: string; input: unknown }) => Promise<unknown>;
  postToReceiver: (notice: { url: string; executionId: string; result: unknown }) => Promise<void>;
}

export interface BaselineInput {
  agentUrl: string;
  input: unknown;
}

const { postToAgent, postToReceiver } = proxyActivities<BaselineActivities>({ startToCloseTimeout: '1 minute' });

export async function callAgentOnly({ agentUrl, input }: BaselineInput): Promise<unknown> {
  return postToAgent({ url: agentUrl, input });
}

export async function callAgentAndNotify(
  call: BaselineInput & { executionId: string; webhookUrl: string },
): Promise<unknown> {
  const result = await postToAgent({ url: call.agentUrl, input: call.input });
  await postToReceiver({ url: call.webhookUrl, executionId: call.executionId, result });
  return result;
}
