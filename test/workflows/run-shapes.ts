import { cancelRunId, rosterId, runEndId } from '../../workflows/run-contract.ts';
import { isCallOf } from '../support/agents.ts';
import type { Body } from '../support/system.ts';
import type { ShapeBench } from './shapes.ts';

/** A workflow that is about a run: how to make one happen, to its close, and which it is. */
export interface RunShape {
  name: string;
  run: (bench: ShapeBench) => Promise<string>;
}

async function start({ system, accepting }: ShapeBench, body: unknown = {}, headers = {}): Promise<Body> {
  const { body: answer } = await system.post('/api/v1/execute/async/accepting.x', body, headers);
  await accepting.waitFor(1, isCallOf(answer.execution_id));
  return answer;
}

async function closed({ system }: ShapeBench, workflowId: string): Promise<string> {
  await system.client.workflow
    .getHandle(workflowId)
    .result()
    .catch(() => undefined);
  return workflowId;
}

export const RUN_SHAPES: RunShape[] = [
  {
    name: 'roster',
    run: async (bench) => {
      const { client, taskQueue } = bench.system;
      const workflowId = rosterId('shape-roster', taskQueue);
      await client.workflow.signalWithStart('runRoster', {
        workflowId,
        taskQueue,
        args: [{ runId: 'shape-roster' }],
        startDelay: 50,
        signal: 'member',
        signalArgs: [{ executionId: 'exec_shape' }],
      });
      return closed(bench, workflowId);
    },
  },
  {
    name: 'cancel-run',
    run: async (bench) => {
      const { run_id: run } = await start(bench);
      await bench.system.post(`/api/v1/runs/${run}/cancel`, { reason: 'shape' });
      await bench.system.post(`/api/v1/runs/${run}/cancel?terminate=true`);
      return closed(bench, cancelRunId(run, bench.system.taskQueue));
    },
  },
  {
    name: 'batch',
    run: async (bench) => {
      const body = { items: [{ target: 'prompt.x' }], webhook: { url: bench.receiverUrl } };
      const { body: answer } = await bench.system.post('/api/v1/executions/batch', body);
      return closed(bench, answer.batch_id as string);
    },
  },
  {
    name: 'run-end',
    run: async (bench) => {
      const { execution_id: id, run_id: run } = await start(bench, { run_webhook: { url: bench.failingReceiverUrl } });
      await bench.accepting.report(id, { status: 'succeeded' });
      return closed(bench, runEndId(run, bench.system.taskQueue));
    },
  },
];
