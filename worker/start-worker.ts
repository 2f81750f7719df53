import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from '@temporalio/worker';
import type { NativeConnection, WorkflowBundleOption } from '@temporalio/worker';
import { createHeldCalls } from '../activities/held-calls.ts';
import type { HeldCalls } from '../activities/held-calls.ts';
import { createActivities } from '../activities/index.ts';
import type { ActivityDeps } from '../activities/index.ts';
import { agentTaskQueue } from '../workflows/contract.ts';

export interface WorkerSettings {
  connection: NativeConnection;
  namespace: string;
  taskQueue: string;
  activities: Omit<ActivityDeps, 'held' | 'ownTaskQueue'>;
  maxConcurrentActivities: number;
  shutdownGraceMs: number;
  /** Made ahead of time; without one the workflows are bundled now, which takes a second or two. */
  workflowBundle?: WorkflowBundleOption;
}

export interface RunningWorker {
  /** Stops polling, and lets what is under way end within the grace. */
  shutdown: () => void;
  /** Resolves after a shutdown, rejects when the worker fails. */
  done: Promise<void>;
}

/** How soon at the latest a running agent call learns that it was cancelled. Each beat is a write at the server. */
const MAX_HEARTBEAT_THROTTLE_MS = 5_000;
/**
 * A task of a workflow goes first to the worker that has it in memory. When that one is dead, it goes to another after
 * so long; the SDK's 10 s would be half of what it takes to get over the death of a worker.
 */
const STICKY_TIMEOUT_MS = 1_000;
const FOLLOW_POLL_MS = 200;
/** Workflow tasks wait for prompt agents, they do not compute either. */
const MAX_WORKFLOW_TASKS = 200;

export const WORKFLOWS_PATH = fileURLToPath(new URL('../workflows', import.meta.url));
/** Where `npm run build` puts the bundle; from sources there is none. */
export const WORKFLOW_BUNDLE = fileURLToPath(new URL('./workflow-bundle.js', import.meta.url));

/**
 * Starts what polls three task queues: the one of workflows and deliveries; that of agent calls, so that agents who
 * take their time hold up nothing else; and one of this process alone, by which a workflow finds the way back to the
 * process that holds its call.
 */
export async function startWorker(settings: WorkerSettings): Promise<RunningWorker> {
  const { connection, namespace, taskQueue, maxConcurrentActivities, shutdownGraceMs, workflowBundle } = settings;
  const ownTaskQueue = `${taskQueue}-${randomUUID()}`;
  const held = createHeldCalls(maxConcurrentActivities);
  const { followAgentCall, ...activities } = createActivities({ ...settings.activities, held, ownTaskQueue });
  const common = {
    connection,
    namespace,
    // Calls wait for others, they do not compute.
    maxConcurrentActivityTaskExecutions: maxConcurrentActivities,
    maxHeartbeatThrottleInterval: MAX_HEARTBEAT_THROTTLE_MS,
    shutdownGraceTime: shutdownGraceMs,
    shutdownForceTime: shutdownGraceMs + 5_000,
  };
  const [main, agents, own] = await Promise.all([
    Worker.create({
      ...common,
      taskQueue,
      activities,
      ...(workflowBundle ? { workflowBundle } : { workflowsPath: WORKFLOWS_PATH }),
      stickyQueueScheduleToStartTimeout: STICKY_TIMEOUT_MS,
      maxConcurrentWorkflowTaskExecutions: MAX_WORKFLOW_TASKS,
      maxConcurrentLocalActivityExecutions: MAX_WORKFLOW_TASKS,
    }),
    Worker.create({ ...common, taskQueue: agentTaskQueue(taskQueue), activities: { callAgent: activities.callAgent } }),
    Worker.create({ ...common, taskQueue: ownTaskQueue, activities: { followAgentCall } }),
  ]);
  const shutdown = () => {
    stop(main);
    stop(agents);
    // What is handed over in these moments must still find its way back here.
    void untilFollowed(held, shutdownGraceMs).then(() => stop(own));
  };
  // When one fails the others must not go on as if nothing had happened.
  const done = Promise.all([main, agents, own].map((worker) => worker.run().finally(shutdown))).then(() => undefined);
  return { shutdown, done };
}

function stop(worker: Worker): void {
  if (worker.getState() === 'RUNNING') worker.shutdown();
}

/** Until no call waits to be followed, twice in a row: a task that has just come in may be about to make one. */
async function untilFollowed(held: HeldCalls, graceMs: number): Promise<void> {
  for (let quiet = 0, waitedMs = 0; quiet < 2 && waitedMs < graceMs; waitedMs += FOLLOW_POLL_MS) {
    await sleep(FOLLOW_POLL_MS);
    quiet = held.unfollowed() === 0 ? quiet + 1 : 0;
  }
}
