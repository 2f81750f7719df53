import { Hono } from 'hono';
import { z } from 'zod';
import type { AppDeps } from '../deps.ts';
import { numberParameter, queryOf } from '../json-body.ts';
import { createNodeReader } from '../node-reader.ts';
import type { nodeView } from '../node-schemas.ts';

const flag = z.enum(['true', 'false']).transform((text) => text === 'true');

export const discoveryQuery = z.object({
  agent: z.string().max(200).optional(),
  node_id: z.string().max(200).optional(),
  agent_ids: z.string().max(4000).optional(),
  node_ids: z.string().max(4000).optional(),
  reasoner: z.string().max(200).optional(),
  skill: z.string().max(200).optional(),
  tags: z.string().max(1000).optional(),
  health_status: z.string().max(50).optional(),
  format: z.enum(['json', 'compact']).default('json'),
  include_input_schema: flag.default(false),
  include_output_schema: flag.default(false),
  include_descriptions: flag.default(true),
  include_examples: flag.default(false),
  limit: numberParameter(1, 500).default(100),
  offset: numberParameter(0, 1_000_000).default(0),
});
type Query = z.infer<typeof discoveryQuery>;

type Node = z.infer<typeof nodeView>;
type NodeFunction = Node['reasoners'][number];

/** What there is to be called, as AgentField's discovery tells it. `*` in a name stands for anything. */
export function discoveryRoutes({ nodes, configuredNodes }: AppDeps): Hono {
  const app = new Hono();
  const reader = createNodeReader({ nodes, configuredNodes });

  app.get('/discovery/capabilities', async (c) => {
    const query = queryOf(c, discoveryQuery);
    const found = (await reader.list())
      .filter((node) => isWanted(node, query))
      .map((node) => capabilityOf(node, query));
    const withFunctions = found.filter(
      ({ reasoners, skills }) => !isNarrow(query) || reasoners.length + skills.length > 0,
    );
    const page = withFunctions.slice(query.offset, query.offset + query.limit);
    const at = new Date().toISOString();
    c.header('Cache-Control', 'no-store');
    if (query.format === 'compact') return c.json({ discovered_at: at, ...compact(page) });
    return c.json({
      discovered_at: at,
      total_agents: withFunctions.length,
      total_reasoners: withFunctions.reduce((sum, { reasoners }) => sum + reasoners.length, 0),
      total_skills: withFunctions.reduce((sum, { skills }) => sum + skills.length, 0),
      pagination: {
        limit: query.limit,
        offset: query.offset,
        has_more: query.offset + page.length < withFunctions.length,
      },
      capabilities: page,
    });
  });

  return app;
}

function isWanted({ id, health_status }: Node, query: Query): boolean {
  const names = [query.agent, query.node_id, query.agent_ids, query.node_ids].flatMap((list) => list?.split(',') ?? []);
  const isNamed = names.length === 0 || names.some((name) => matches(id, name.trim()));
  return isNamed && (query.health_status === undefined || health_status === query.health_status);
}

function isNarrow({ reasoner, skill, tags }: Query): boolean {
  return [reasoner, skill, tags].some((filter) => filter !== undefined);
}

function capabilityOf(node: Node, query: Query) {
  const tags = query.tags?.split(',').map((tag) => tag.trim().toLowerCase());
  const isTagged = (one: NodeFunction) =>
    tags === undefined || (one.tags ?? []).some((tag) => tags.some((wanted) => matches(tag.toLowerCase(), wanted)));
  // Who asks for reasoners of a name asks for no skills, unless for those too.
  const pick = (all: NodeFunction[], name: string | undefined, other: string | undefined) =>
    all.filter((one) => (name === undefined ? other === undefined : matches(one.id, name)) && isTagged(one));
  const view = (one: NodeFunction) => ({
    id: one.id,
    description: query.include_descriptions ? (one.description ?? null) : null,
    tags: one.tags ?? [],
    ...(query.include_input_schema && { input_schema: one.input_schema ?? null }),
    ...(query.include_output_schema && { output_schema: one.output_schema ?? null }),
    invocation_target: `${node.id}.${one.id}`,
  });
  return {
    agent_id: node.id,
    base_url: node.base_url ?? '',
    version: node.version ?? '',
    health_status: node.health_status,
    deployment_type: 'long_running',
    last_heartbeat: node.last_heartbeat ?? '',
    reasoners: pick(node.reasoners, query.reasoner, query.skill).map(view),
    skills: pick(node.skills, query.skill, query.reasoner).map(view),
  };
}

function compact(capabilities: ReturnType<typeof capabilityOf>[]) {
  const of = (kind: 'reasoners' | 'skills') =>
    capabilities.flatMap((capability) =>
      capability[kind].map(({ id, tags, invocation_target }) => {
        return { id, agent_id: capability.agent_id, target: invocation_target, tags };
      }),
    );
  return { reasoners: of('reasoners'), skills: of('skills') };
}

/** Without backtracking: names are short, patterns come from outside. */
function matches(name: string, pattern: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  if (rest.length === 0) return name === pattern;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  const last = rest.pop() ?? '';
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return name.length >= at + last.length && name.endsWith(last);
}
