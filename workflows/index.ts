/** Entry of the workflow bundle: every export becomes a workflow type, so nothing else is exported here. */
export { executeTarget } from './execute-target.ts';
export { agentNode } from './agent-node.ts';
export { runBatch } from './run-batch.ts';
export { cancelRun } from './cancel-run.ts';
export { agentMemory } from './agent-memory.ts';
export { agentPermits } from './agent-permits.ts';
export { redeliverWebhook } from './redeliver-webhook.ts';
export { runEnd } from './run-end.ts';
export { runRoster } from './run-roster.ts';
