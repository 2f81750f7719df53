import type { Client } from '@temporalio/client';
import type { AgentNodeDirectory } from '../common/agent-nodes.ts';
import type { Logger } from '../common/logger.ts';
import type { Sealer } from '../common/sealing.ts';
import type { ExecutionPolicy } from '../workflows/contract.ts';
import type { ApiLimits } from './config.ts';
import type { Memories } from '../memory/memories.ts';
import type { MemoryChanges } from './memory-changes.ts';
import type { Nodes } from './nodes.ts';
import type { Histories } from './histories.ts';
import type { Reuse } from './reuse.ts';
import type { Runs } from './runs.ts';
import type { StreamSlots } from './stream-slots.ts';
import type { Executions } from './executions.ts';

/** What the app is made of; `main.ts` and tests put it together. */
export interface AppDeps {
  client: Client;
  taskQueue: string;
  executions: Executions;
  runs: Runs;
  reuse: Reuse;
  histories: Histories;
  /** All of them; `configuredNodes`: those that an operator has written down. */
  agentNodes: AgentNodeDirectory;
  configuredNodes: AgentNodeDirectory;
  nodes: Nodes;
  memories: Memories;
  memoryChanges: MemoryChanges;
  sealer: Sealer;
  policy: ExecutionPolicy;
  limits: ApiLimits;
  logger: Logger;
  /** Base URL of the Temporal Web UI, for links to it. */
  temporalUiUrl?: string | undefined;
  streamSlots: StreamSlots;
  /** Aborted when this process is about to stop: streams end, their clients go on at another replica. */
  closing: AbortSignal;
}
