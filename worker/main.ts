import { existsSync } from 'node:fs';
import { DefaultLogger, makeTelemetryFilterString, NativeConnection, Runtime } from '@temporalio/worker';
import { createAgentHttp, createWebhookHttp } from '../activities/index.ts';
import { runMain } from '../common/environment.ts';
import { createLogger } from '../common/logger.ts';
import { loadWorkerConfig } from './config.ts';
import { connectWithPatience } from './connect.ts';
import { startWorker, WORKFLOW_BUNDLE } from './start-worker.ts';

runMain('perdure worker', async () => {
  const config = loadWorkerConfig(process.env);
  const logger = createLogger('perdure-worker', config.logLevel);
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
  try {
    const { agentNodes, sealer, publicUrl, maxResultBytes } = config;
    const worker = await startWorker({
      connection,
      namespace: config.temporal.namespace,
      taskQueue: config.taskQueue,
      activities: { agentNodes, sealer, publicUrl, maxResultBytes, agentHttp, webhookHttp },
      maxConcurrentActivities: config.maxConcurrentActivities,
      shutdownGraceMs: config.shutdownGraceMs,
      ...(existsSync(WORKFLOW_BUNDLE) && { workflowBundle: { codePath: WORKFLOW_BUNDLE } }),
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, worker.shutdown);
    logger.info({ taskQueue: config.taskQueue, namespace: config.temporal.namespace }, 'worker polls');
    await worker.done;
  } finally {
    await Promise.allSettled([agentHttp.destroy(), webhookHttp.destroy(), connection.close()]);
  }
});

const LEVELS = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
