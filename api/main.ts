import { ConfigError, runMain } from '../common/environment.ts';
import { createLogger } from '../common/logger.ts';
import { loadApiConfig } from './config.ts';
import { createApi } from './create-api.ts';
import { listen } from './server.ts';
import { connectTemporal } from './temporal.ts';

const SHUTDOWN_GRACE_MS = 10_000;

runMain('perdure api', async () => {
  const config = loadApiConfig(process.env);
  const logger = createLogger('perdure-api', config.logLevel);
  const temporal = connectTemporal(config.temporal);
  const { app, watchers } = createApi(config, temporal, logger);
  const server = await listen(app, config).catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'EADDRINUSE')
      throw new ConfigError(`port ${config.port} is in use: stop what uses it, or set PORT`);
    throw err;
  });
  logger.info({ host: config.host, port: server.port, namespace: config.temporal.namespace }, 'api listens');

  const stop = async (signal: NodeJS.Signals) => {
    logger.info({ signal }, 'api stops');
    await server.close(SHUTDOWN_GRACE_MS);
    watchers.close();
    await temporal.close();
    process.exit(0);
  };
  process.once('SIGTERM', (signal) => void stop(signal));
  process.once('SIGINT', (signal) => void stop(signal));
});
