import { setMaxListeners } from 'node:events';
import type { Hono } from 'hono';
import type { Logger } from '../common/logger.ts';
import { createApp } from './app.ts';
import type { ApiConfig } from './config.ts';
import { createExecutions } from './executions.ts';
import { createHistories } from './histories.ts';
import type { UpgradeHandler } from './server.ts';
import { createSteerSocket } from './steer-socket.ts';
import { createStreamSlots } from './stream-slots.ts';
import type { TemporalConnections } from './temporal.ts';
import { createWatchers } from './watchers.ts';
import type { Watchers } from './watchers.ts';

/** Puts the API together around its connections to Temporal. */
export function createApi(
  config: ApiConfig,
  { client, starter, following }: TemporalConnections,
  logger: Logger,
  closing: AbortSignal,
): { app: Hono; watchers: Watchers; onUpgrade: UpgradeHandler } {
  // Every event stream listens to it.
  setMaxListeners(0, closing);
  const { taskQueue, agentNodes, sealer, policy, limits } = config;
  const histories = createHistories({
    connection: following,
    namespace: client.options.namespace,
    converter: client.options.loadedDataConverter,
  });
  const watchers = createWatchers(histories, { maxWatchers: limits.maxWatchers });
  const executions = createExecutions({
    client,
    starter,
    taskQueue,
    histories,
    watchers,
    patienceMs: policy.agent.patienceMs ?? 0,
  });
  const deps = {
    client,
    taskQueue,
    executions,
    agentNodes,
    sealer,
    policy,
    limits,
    logger,
    temporalUiUrl: config.temporalUiUrl,
    streamSlots: createStreamSlots(limits.maxStreams),
    closing,
  };
  return { app: createApp(deps), watchers, onUpgrade: createSteerSocket(deps) };
}
