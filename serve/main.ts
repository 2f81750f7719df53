/**
 * API and worker in one process. A workflow that the API starts then need not wait for a worker to poll it: Temporal
 * hands its first task over in the answer to the start (eager workflow start), to the worker on the same connection.
 */
import { Client } from '@temporalio/client';
import { loadApiConfig } from '../api/config.ts';
import { serveApi } from '../api/serve-api.ts';
import type { ServedApi } from '../api/serve-api.ts';
import { runMain } from '../common/environment.ts';
import { createLogger } from '../common/logger.ts';
import { onStopSignal } from '../common/stop-signals.ts';
import { urlHost } from '../common/url-host.ts';
import { loadWorkerConfig } from '../worker/config.ts';
import { runWorker } from '../worker/run-worker.ts';

runMain('perdure', async () => {
  const config = loadApiConfig(process.env);
  const publicUrl = process.env.PERDURE_PUBLIC_URL || urlOf(config);
  const workerConfig = loadWorkerConfig({ ...process.env, PERDURE_PUBLIC_URL: publicUrl });
  const logger = createLogger('perdure', config.logLevel);
  const worker = await runWorker(workerConfig, logger);
  const starter = new Client({ connection: worker.connection, namespace: config.temporal.namespace });
  let api: ServedApi | undefined;
  const stop = async (signal: NodeJS.Signals) => {
    logger.info({ signal }, 'perdure stops');
    // Clients that wait for a result need the worker until they have it.
    await api?.close();
    worker.shutdown();
  };
  onStopSignal((signal) => void stop(signal));
  api = await serveApi(config, logger, starter).catch(async (err: unknown) => {
    // What the worker has taken up by now must not be left lying.
    worker.shutdown();
    await worker.done;
    throw err;
  });
  await worker.done;
  process.exit(0);
});

/** Where agents on this machine reach this process. */
function urlOf({ host, port }: { host: string; port: number }): string {
  const isAny = host === '0.0.0.0' || host === '::';
  return `http://${isAny ? 'localhost' : urlHost(host)}:${port}`;
}
