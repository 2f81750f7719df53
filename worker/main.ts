import { runMain } from '../common/environment.ts';
import { createLogger } from '../common/logger.ts';
import { onStopSignal } from '../common/stop-signals.ts';
import { loadWorkerConfig } from './config.ts';
import { runWorker } from './run-worker.ts';

runMain('perdure worker', async () => {
  const config = loadWorkerConfig(process.env);
  const worker = await runWorker(config, createLogger('perdure-worker', config.logLevel));
  onStopSignal(worker.shutdown);
  await worker.done;
});
