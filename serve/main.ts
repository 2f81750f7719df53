/**
 * API and worker in one process. A workflow that the API starts then need not wait for a worker to poll it: Temporal
 * hands its first task over in the answer to the start (eager workflow start), to the worker on the same connection.
 */
import { Client } from '@temporalio/client';
import { loadApiConfig } from '../api/config.ts';
import { serveApi } from '../api/serve-api.ts';
import { runMain } from '../common/environment.ts';
import { createLogger } from '../common/logger.ts';
import { loadWorkerConfig } from '../worker/config.ts';
import { runWorker } from '../worker/run-worker.ts';

runMain('perdure', async () => {
  const config = loadApiConfig(process.env);
  const workerConfig = loadWorkerConfig(process.env);
  const logger = createLogger('perdure', config.logLevel);
  const worker = await runWorker(workerConfig, logger);
  const starter = new Client({ connection: worker.connection, namespace: config.temporal.namespace });
  const api = await serveApi(config, logger, starter).catch(async (err: unknown) => {
    // What the worker has taken up by now must not be left lying.
    worker.shutdown();
    await worker.done;
    throw err;
  });
  // Clients that wait for a result need the worker until they have it.
  const stop = async (signal: NodeJS.Signals) => {
    logger.info({ signal }, 'perdure stops');
    await api.close();
    worker.shutdown();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, (given) => void stop(given));
  await worker.done;
  process.exit(0);
});
