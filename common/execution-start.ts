import type { WorkflowStartOptions } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../workflows/contract.ts';
import type { ExecuteTargetInput } from '../workflows/contract.ts';
import type { executeTarget } from '../workflows/execute-target.ts';
import { formatTarget } from '../workflows/execution.ts';

/** Temporal takes no more. */
const MAX_TASK_TIMEOUT_MS = 120_000;

/** How the workflow of an execution is started, whoever does it. */
export function executionStart(
  executionId: string,
  input: ExecuteTargetInput,
  taskQueue: string,
): WorkflowStartOptions<typeof executeTarget> {
  return {
    workflowId: executionId,
    taskQueue,
    args: [input],
    workflowIdReusePolicy: 'REJECT_DUPLICATE',
    workflowIdConflictPolicy: 'FAIL',
    // The first agent call is made within a workflow task: a dead worker must be noticed as soon as in any other.
    workflowTaskTimeout: Math.min(input.policy.agent.heartbeatTimeoutMs, MAX_TASK_TIMEOUT_MS),
    ...(input.priority && { priority: input.priority }),
    typedSearchAttributes: [
      { key: SEARCH_ATTRIBUTES.target, value: formatTarget(input.target) },
      { key: SEARCH_ATTRIBUTES.runId, value: input.runId },
      ...(input.parentExecutionId === undefined
        ? []
        : [{ key: SEARCH_ATTRIBUTES.parentExecutionId, value: input.parentExecutionId }]),
    ],
    staticSummary: formatTarget(input.target),
  };
}
