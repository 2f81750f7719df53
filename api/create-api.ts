import type { Client, Connection } from '@temporalio/client';
import type { Hono } from 'hono';
import type { Logger } from '../common/logger.ts';
import { createApp } from './app.ts';
import type { ApiConfig } from './config.ts';
import { createExecutions } from './executions.ts';
import { createWatchers } from './watchers.ts';
import type { Watchers } from './watchers.ts';

/** Puts the API together around a Temporal client. */
export function createApi(config: ApiConfig, client: Client, logger: Logger): { app: Hono; watchers: Watchers } {
  const { taskQueue, agentNodes, sealer, policy, limits } = config;
  const { connection } = client as Client & { connection: Connection };
  const watchers = createWatchers(
    { connection, namespace: client.options.namespace, converter: client.options.loadedDataConverter },
    { maxWatchers: limits.maxWatchers },
  );
  const executions = createExecutions({ client, taskQueue, watchers });
  const app = createApp({ client, taskQueue, executions, agentNodes, sealer, policy, limits, logger });
  return { app, watchers };
}
