/** The bare Temporal SDK, as its documentation teaches it: the same two calls, and nothing else. */
import { condition, defineSignal, proxyActivities, setHandler } from '@temporalio/workflow';

export interface BaselineActivities {
  postToAgent: (call: { url: string; input: unknown }) => Promise<unknown>;
  postToReceiver: (notice: { url: string; executionId: string; result: unknown }) => Promise<void>;
}

export interface BaselineInput {
  agentUrl: string;
  input: unknown;
}

export type NotifyingInput = BaselineInput & { executionId: string; webhookUrl: string };

export const resultSignal = defineSignal<[unknown]>('result');

// The retry policy is Temporal's own: 1 s, doubling. Perdure has 1 s for agents and 5 s for webhooks.
const { postToAgent, postToReceiver } = proxyActivities<BaselineActivities>({ startToCloseTimeout: '1 minute' });

export async function callAgentOnly({ agentUrl, input }: BaselineInput): Promise<unknown> {
  return postToAgent({ url: agentUrl, input });
}

export async function callAgentAndNotify(call: NotifyingInput): Promise<unknown> {
  const result = await postToAgent({ url: call.agentUrl, input: call.input });
  await postToReceiver({ url: call.webhookUrl, executionId: call.executionId, result });
  return result;
}

/** The agent only takes the work; its result comes by signal. */
export async function awaitAgentAndNotify(call: NotifyingInput): Promise<unknown> {
  let result: { value: unknown } | undefined;
  setHandler(resultSignal, (value) => {
    result = { value };
  });
  await postToAgent({ url: call.agentUrl, input: call.input });
  await condition(() => result !== undefined);
  await postToReceiver({ url: call.webhookUrl, executionId: call.executionId, result: result?.value });
  return result?.value;
}
