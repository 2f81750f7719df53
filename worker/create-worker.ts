import { fileURLToPath } from 'node:url';
import { Worker } from '@temporalio/worker';
import type { NativeConnection, WorkflowBundleOption } from '@temporalio/worker';
import type { Activities } from '../workflows/contract.ts';

export interface WorkerSettings {
  connection: NativeConnection;
  namespace: string;
  taskQueue: string;
  activities: Activities;
  maxConcurrentActivities: number;
  shutdownGraceMs: number;
  /** Made ahead of time; without one the workflows are bundled now, which takes a second or two. */
  workflowBundle?: WorkflowBundleOption;
}

/** How soon at the latest a running agent call learns that it was cancelled. Each beat is a write at the server. */
const MAX_HEARTBEAT_THROTTLE_MS = 5_000;

export const WORKFLOWS_PATH = fileURLToPath(new URL('../workflows', import.meta.url));

export function createWorker(settings: WorkerSettings): Promise<Worker> {
  const { connection, namespace, taskQueue, activities, workflowBundle } = settings;
  return Worker.create({
    connection,
    namespace,
    taskQueue,
    activities,
    ...(workflowBundle ? { workflowBundle } : { workflowsPath: WORKFLOWS_PATH }),
    // Calls wait for agents, they do not compute.
    maxConcurrentActivityTaskExecutions: settings.maxConcurrentActivities,
    maxHeartbeatThrottleInterval: MAX_HEARTBEAT_THROTTLE_MS,
    shutdownGraceTime: settings.shutdownGraceMs,
    shutdownForceTime: settings.shutdownGraceMs + 5_000,
  });
}
