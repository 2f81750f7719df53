/** The worker of the bare SDK, a process of its own. Settings that matter are those of Perdure's worker. */
import { fileURLToPath } from 'node:url';
import { activityInfo } from '@temporalio/activity';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { Agent, request } from 'undici';
import type { BaselineActivities } from './baseline-workflows.ts';

const MAX_CONCURRENT_ACTIVITIES = 500;

const http = new Agent();

/** As long as the slowest agent of any suite; without it undici gives up after 300 s. */
const NO_LIMIT = { headersTimeout: 0, bodyTimeout: 0 };

async function post(url: string, body: unknown, executionId?: string): Promise<string> {
  const response = await request(url, {
    ...NO_LIMIT,
    dispatcher: http,
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(executionId && { 'x-execution-id': executionId }) },
    body: JSON.stringify(body),
  });
  const text = await response.body.text();
  if (response.statusCode >= 300) throw new Error(`${url} answered ${response.statusCode}`);
  return text;
}

const activities: BaselineActivities = {
  postToAgent: async ({ url, input }) => {
    const answer = await post(url, input, activityInfo().workflowExecution?.workflowId);
    // An agent that answers 202 says nothing yet.
    return answer === '' ? undefined : (JSON.parse(answer) as unknown);
  },
  postToReceiver: async ({ url, executionId, result }) => {
    await post(url, { event: 'execution.completed', execution_id: executionId, status: 'succeeded', result });
  },
};

Runtime.install({ logger: new DefaultLogger('ERROR') });
const worker = await Worker.create({
  connection: await NativeConnection.connect({
    address: process.env.TEMPORAL_ADDRESS ?? '',
    grpcCompression: { codec: 'none' },
  }),
  taskQueue: process.env.BENCH_TASK_QUEUE ?? '',
  workflowsPath: fileURLToPath(new URL('./baseline-workflows.ts', import.meta.url)),
  activities,
  maxConcurrentActivityTaskExecutions: MAX_CONCURRENT_ACTIVITIES,
});
process.once('disconnect', () => worker.shutdown());
process.send?.({ ready: true });
await worker.run();
process.exit();
