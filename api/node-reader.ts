import type { z } from 'zod';
import { mapLimited } from '../common/map-limited.ts';
import type { AppDeps } from './deps.ts';
import type { nodeView as schema } from './node-schemas.ts';
import { configuredView, nodeView } from './node-view.ts';

type NodeView = z.infer<typeof schema>;

const PARALLEL_READS = 20;

/** Agent nodes of both kinds as one: a node that an operator has written down hides a registered one of its name. */
export function createNodeReader({ nodes, configuredNodes }: Pick<AppDeps, 'nodes' | 'configuredNodes'>) {
  async function find(name: string, { withHeartbeats = false } = {}): Promise<NodeView | undefined> {
    const configured = await configuredNodes.find(name);
    if (configured) return configuredView(configured);
    const known = await nodes.find(name);
    return known && nodeView(known.state, withHeartbeats ? await nodes.lastHeartbeats(name) : undefined);
  }

  /** All of them, by name. */
  async function list(): Promise<NodeView[]> {
    const configured = await configuredNodes.names();
    const registered = (await nodes.names()).filter((name) => !configured.includes(name));
    const views = await mapLimited([...configured, ...registered].toSorted(), PARALLEL_READS, (name) => find(name));
    return views.filter((view) => view !== undefined);
  }

  return { find, list };
}
