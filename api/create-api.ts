import { setMaxListeners } from 'node:events';
import type { Hono } from 'hono';
import type { Logger } from '../common/logger.ts';
import { createApp } from './app.ts';
import type { ApiConfig } from './config.ts';
import { createDirectory } from '../nodes/directory.ts';
import { createNodeRegistry } from '../nodes/registry.ts';
import { createExecutions } from './executions.ts';
import { createHistories } from './histories.ts';
import { createMemoryFeed } from '../memory/feed.ts';
import { createMemories } from '../memory/memories.ts';
import { createMemoryChanges } from './memory-changes.ts';
import { createMemorySocket } from './memory-socket.ts';
import { createNodes } from './nodes.ts';
import { createReuse } from './reuse.ts';
import { createRuns } from './runs.ts';
import type { UpgradeHandler } from './server.ts';
import { createSteerSocket } from './steer-socket.ts';
import { createUpgradeHandler } from './web-socket.ts';
import { createStreamSlots } from './stream-slots.ts';
import type { TemporalConnections } from '../common/connect-temporal.ts';
import { createWatchers } from './watchers.ts';

/** Puts the API together around its connections to Temporal. */
export function createApi(
  config: ApiConfig,
  { client, starter, following }: TemporalConnections,
  logger: Logger,
  closing: AbortSignal,
): { app: Hono; onUpgrade: UpgradeHandler; close: () => void } {
  // Every event stream listens to it.
  setMaxListeners(0, closing);
  const { taskQueue, agentNodes: configuredNodes, sealer, policy, limits } = config;
  const reading = {
    connection: following,
    namespace: client.options.namespace,
    converter: client.options.loadedDataConverter,
  };
  const histories = createHistories(reading);
  const registry = createNodeRegistry({ ...reading, taskQueue });
  const watchers = createWatchers(histories, { maxWatchers: limits.maxWatchers });
  const memories = createMemories({ ...reading, taskQueue, client, maxRunEvents: policy.maxRunEvents });
  const memoryChanges = createMemoryChanges(memories, createMemoryFeed(memories, { lookMs: limits.runLookMs }));
  const executions = createExecutions({
    client,
    starter,
    taskQueue,
    histories,
    watchers,
    patienceMs: policy.agent.patienceMs ?? 0,
  });
  const runs = createRuns({ client, taskQueue, histories, executions });
  const deps = {
    client,
    taskQueue,
    executions,
    runs,
    reuse: createReuse({ runs, histories, executions, converter: client.options.loadedDataConverter }),
    histories,
    agentNodes: createDirectory(configuredNodes, registry),
    configuredNodes,
    nodes: createNodes(client, taskQueue, registry),
    memories,
    memoryChanges,
    sealer,
    policy,
    limits,
    logger,
    temporalUiUrl: config.temporalUiUrl,
    streamSlots: createStreamSlots(limits.maxStreams),
    closing,
  };
  return {
    app: createApp(deps),
    onUpgrade: createUpgradeHandler(deps, [createSteerSocket(deps), createMemorySocket(deps)]),
    close: () => {
      watchers.close();
      registry.close();
      memories.close();
    },
  };
}
