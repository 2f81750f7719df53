import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/client';
import { mapLimited } from '../common/map-limited.ts';
import type { agentPermits } from '../workflows/agent-permits.ts';
import { PERMITS_WORKFLOW, permitsWorkflowId, requestPermitSignal } from '../workflows/permit-contract.ts';
import type { PermitActivities, PermitRequest } from '../workflows/permit-contract.ts';

const PARALLEL_READS = 20;

export const permitActivities: PermitActivities = {
  requestPermit: async ({ node, ...request }) => {
    const { client, info } = Context.current();
    await client.workflow.signalWithStart<typeof agentPermits, [PermitRequest]>(PERMITS_WORKFLOW, {
      workflowId: permitsWorkflowId(node, info.taskQueue),
      taskQueue: info.taskQueue,
      args: [{ node, held: [], waiting: [] }],
      signal: requestPermitSignal,
      signalArgs: [request],
    });
  },

  findEnded: async (executionIds) => {
    const { client } = Context.current();
    const ended = await mapLimited(executionIds, PARALLEL_READS, async (executionId) => {
      try {
        const { status } = await client.workflow.getHandle(executionId).describe();
        return status.name === 'RUNNING' ? [] : [executionId];
      } catch (err) {
        if (err instanceof WorkflowNotFoundError) return [executionId];
        throw err;
      }
    });
    return ended.flat();
  },
};
