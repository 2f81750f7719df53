import { existsSync } from 'node:fs';
import { DefaultLogger, makeTelemetryFilterString, NativeConnection, Runtime } from '@temporalio/worker';
import { createAgentHttp, createWebhookHttp } from '../activities/index.ts';
import { connectTemporal } from '../common/connect-temporal.ts';
import type { Logger } from '../common/logger.ts';
import { createDirectory } from '../nodes/directory.ts';
import { createNodeRegistry } from '../nodes/registry.ts';
import type { WorkerConfig } from './config.ts';
import { connectWithPatience } from './connect.ts';
import { startWorker, WORKFLOW_BUNDLE } from './start-worker.ts';
import type { RunningWorker } from './start-worker.ts';

export interface ConnectedWorker extends RunningWorker {
  /** For a client that starts workflows which this very worker is to run. Closed once the worker is done. */
  connection: NativeConnection;
}

/** Waits for Temporal, and resolves when the worker polls. Once per process: it sets up the SDK's runtime. */
export async function runWorker(config: WorkerConfig, logger: Logger): Promise<ConnectedWorker> {
  Runtime.install({
    // Ours to handle: the parts of the worker end one after the other.
    shutdownSignals: [],
    telemetryOptions: {
      logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) },
    },
    logger: new DefaultLogger('INFO', ({ level, message, meta }) => {
      logger[LEVELS[level]]({ ...meta, error: meta?.error && String(meta.error) }, message);
    }),
  });
  const grpcCompression = { codec: config.grpcCompression };
  const connection = await connectWithPatience(
    () => NativeConnection.connect({ ...config.temporal.connectionOptions, grpcCompression }),
    (err) => logger.warn({ error: String(err) }, 'Temporal cannot be reached, trying again'),
  );
  const agentHttp = createAgentHttp();
  const webhookHttp = createWebhookHttp();
  const reading = connectTemporal(config.temporal);
  const registry = createNodeRegistry({
    connection: reading.following,
    namespace: config.temporal.namespace,
    taskQueue: config.taskQueue,
  });
  const leave = () => {
    registry.close();
    return Promise.allSettled([agentHttp.destroy(), webhookHttp.destroy(), reading.close(), connection.close()]);
  };
  const agentNodes = createDirectory(config.agentNodes, registry);
  const { sealer, publicUrl, maxResultBytes } = config;
  try {
    const worker = await startWorker({
      connection,
      namespace: config.temporal.namespace,
      taskQueue: config.taskQueue,
      activities: { agentNodes, sealer, publicUrl, maxResultBytes, agentHttp, webhookHttp },
      maxConcurrentActivities: config.maxConcurrentActivities,
      shutdownGraceMs: config.shutdownGraceMs,
      ...(existsSync(WORKFLOW_BUNDLE) && { workflowBundle: { codePath: WORKFLOW_BUNDLE } }),
    });
    logger.info({ taskQueue: config.taskQueue, namespace: config.temporal.namespace }, 'worker polls');
    let isStopping = false;
    const untilLeft = async () => {
      try {
        await worker.done;
      } catch (err) {
        if (!isStopping) throw err;
        // As when Temporal is away: what was under way comes again at another worker.
        logger.warn({ error: String(err) }, 'worker was told to stop and did not end in order');
      } finally {
        await leave();
      }
    };
    const shutdown = () => {
      isStopping = true;
      worker.shutdown();
    };
    return { shutdown, connection, done: untilLeft() };
  } catch (err) {
    await leave();
    throw err;
  }
}

const LEVELS = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
