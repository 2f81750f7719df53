import { runMain } from '../common/environment.ts';
import { createLogger } from '../common/logger.ts';
import { onStopSignal } from '../common/stop-signals.ts';
import { loadApiConfig } from './config.ts';
import { serveApi } from './serve-api.ts';

runMain('perdure api', async () => {
  const config = loadApiConfig(process.env);
  const logger = createLogger('perdure-api', config.logLevel);
  const api = await serveApi(config, logger);
  const stop = async (signal: NodeJS.Signals) => {
    logger.info({ signal }, 'api stops');
    await api.close();
    process.exit(0);
  };
  onStopSignal((signal) => void stop(signal));
});
