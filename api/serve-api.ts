import type { Client } from '@temporalio/client';
import { ConfigError } from '../common/environment.ts';
import type { Logger } from '../common/logger.ts';
import type { ApiConfig } from './config.ts';
import { createApi } from './create-api.ts';
import { listen } from './server.ts';
import { connectTemporal } from '../common/connect-temporal.ts';

export interface ServedApi {
  /** Takes no new requests, lets those under way end within a grace, and leaves Temporal. */
  close: () => Promise<void>;
}

const SHUTDOWN_GRACE_MS = 10_000;

const LISTEN_FLAWS: Record<string, (config: ApiConfig) => string> = {
  EADDRINUSE: ({ port }) => `port ${port} is in use: stop what uses it, or set PORT`,
  EACCES: ({ port }) => `PORT: ${port} may not be used by this user`,
  EADDRNOTAVAIL: ({ host }) => `HOST: ${host} is no address of this machine`,
  ENOTFOUND: ({ host }) => `HOST: ${host} is no address of this machine`,
};

/**
 * Serves the API until it is closed.
 * @param starter starts the workflows instead of a client of the API's own
 * @throws ConfigError when HOST or PORT cannot be used
 */
export async function serveApi(config: ApiConfig, logger: Logger, starter?: Client): Promise<ServedApi> {
  const temporal = connectTemporal(config.temporal);
  const closing = new AbortController();
  const { app, onUpgrade, close } = createApi(
    config,
    { ...temporal, ...(starter && { starter }) },
    logger,
    closing.signal,
  );
  const server = await listen(app, config, onUpgrade).catch((err: NodeJS.ErrnoException) => {
    const flaw = LISTEN_FLAWS[err.code ?? '']?.(config);
    throw flaw === undefined ? err : new ConfigError(flaw);
  });
  logger.info({ host: config.host, port: server.port, namespace: config.temporal.namespace }, 'api listens');
  return {
    close: async () => {
      closing.abort();
      await server.close(SHUTDOWN_GRACE_MS);
      close();
      await temporal.close();
    },
  };
}
