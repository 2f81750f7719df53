import type { Client, Connection, WorkflowExecutionDescription } from '@temporalio/client';
import { createPageReader } from '../common/history-pages.ts';
import { isNotFound } from '../common/temporal-errors.ts';
import { readRoster } from '../runs/roster.ts';
import { SEARCH_ATTRIBUTES, stateQuery } from '../workflows/contract.ts';
import { isTerminal } from '../workflows/execution.ts';
import type { ExecutionStatus, TerminalStatus } from '../workflows/execution.ts';
import { rootOfRunId } from '../workflows/run-contract.ts';
import type { RunMember } from '../workflows/run-contract.ts';

/** The executions of a run that its roster and its id tell of, and the open ones that only visibility knows. */
export async function executionsOf(client: Client, runId: string, rosterId: string): Promise<RunMember[]> {
  const { connection } = client as Client & { connection: Connection };
  const { namespace, loadedDataConverter } = client.options;
  const roster = await readRoster(createPageReader({ connection, namespace }), loadedDataConverter, rosterId);
  const members = new Map(roster?.members.map((member) => [member.executionId, member]));
  const rootId = rootOfRunId(runId);
  const root = rootId === undefined || members.has(rootId) ? undefined : await describe(client, rootId);
  if (rootId !== undefined && root?.typedSearchAttributes.get(SEARCH_ATTRIBUTES.runId) === runId)
    members.set(rootId, { executionId: rootId });
  const query = `WorkflowType="executeTarget" AND ExecutionStatus="Running" AND PerdureRunId="${runId}"`;
  for await (const { workflowId, typedSearchAttributes } of client.workflow.list({ query, pageSize: 1000 })) {
    if (members.has(workflowId)) continue;
    const parentExecutionId = typedSearchAttributes.get(SEARCH_ATTRIBUTES.parentExecutionId);
    members.set(workflowId, { executionId: workflowId, ...(parentExecutionId !== undefined && { parentExecutionId }) });
  }
  return [...members.values()];
}

/** @returns undefined where there is no such execution */
export async function describe(client: Client, executionId: string): Promise<WorkflowExecutionDescription | undefined> {
  try {
    return await client.workflow.getHandle(executionId).describe();
  } catch (err) {
    if (isNotFound(err)) return undefined;
    throw err;
  }
}

/** How an execution whose workflow is closed has ended. */
export async function statusOfClosed(
  client: Client,
  { workflowId, type, status, typedSearchAttributes }: WorkflowExecutionDescription,
): Promise<TerminalStatus> {
  if (type === 'redeliverWebhook') {
    // How that has ended says only whether the webhook was delivered.
    const { outcome } = await client.workflow.getHandle(workflowId).query(stateQuery);
    if (outcome) return outcome.status;
  }
  const outcome = typedSearchAttributes.get(SEARCH_ATTRIBUTES.outcome) as ExecutionStatus | undefined;
  if (outcome !== undefined && isTerminal(outcome)) return outcome;
  switch (status.name) {
    case 'COMPLETED':
      return 'succeeded';
    case 'CANCELLED':
    case 'TERMINATED':
      return 'cancelled';
    case 'TIMED_OUT':
      return 'timeout';
    default:
      return 'failed';
  }
}
