import { readFileSync } from 'node:fs';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import { z } from 'zod';
import type { Holder, RetrySettings } from '../workflows/contract.ts';
import type { JsonObject, Target, TargetType } from '../workflows/execution.ts';

/** Names that stand in a target: what `node.name` may be made of. */
export const NAME = /^[A-Za-z0-9_-]{1,128}$/;

const name = z.string().regex(NAME, 'letters, digits, "-" and "_", at most 128');
const httpUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .refine(hasNoCredentials, 'must not contain credentials: use headers');

const agentNodeConfig = z.strictObject({
  url: httpUrl,
  /** Names of its reasoners. Neither reasoners nor skills given: any reasoner name is tried. */
  reasoners: z.array(name).optional(),
  skills: z.array(name).optional(),
  /** Sent with every call, for instance an Authorization header of the agent's. */
  headers: z
    .record(z.string(), z.string())
    .refine(areHttpHeaders, 'must be names and values that HTTP allows')
    .optional(),
  /** Limit of one call, in milliseconds. */
  timeout_ms: z.int().positive().optional(),
  /** How many executions it takes at a time, in all and of each reasoner or skill. */
  max_concurrent: z.int().min(1).max(100_000).optional(),
  max_concurrent_of: z.record(name, z.int().min(1).max(100_000)).optional(),
  retry: z
    .strictObject({
      max_attempts: z.int().min(1).max(1000).optional(),
      initial_interval_ms: z.int().positive().optional(),
      backoff_coefficient: z.number().min(1).max(10).optional(),
      max_interval_ms: z.int().positive().optional(),
    })
    .optional(),
});
/** A bare URL is short for an object with nothing else in it. */
const agentNodesConfig = z.record(
  name,
  z.preprocess((config) => (typeof config === 'string' ? { url: config } : config), agentNodeConfig),
);

/** A process that serves a node. */
export interface AgentInstance {
  url: string;
  /** Who it is, unless an operator has written it down. */
  holder?: Holder;
  /** It is about to go: it ends what it has, and takes no further call. */
  isDraining?: true;
}

export interface AgentNode {
  node: string;
  /** Those that are there; of a node that has registered there may be none at the moment. */
  instances: readonly AgentInstance[];
  reasoners?: readonly string[];
  skills?: readonly string[];
  headers: Readonly<Record<string, string>>;
  timeoutMs?: number;
  retry: Partial<RetrySettings>;
  /** How many executions it takes at a time, in all and by the name of the reasoner or skill. Unset: any number. */
  maxConcurrent?: number;
  maxConcurrentOf?: ReadonlyMap<string, number>;
  /** JSON Schemas by the name of the reasoner or skill. */
  inputSchemas?: ReadonlyMap<string, JsonObject>;
}

/** Where agent nodes are found. */
export interface AgentNodeDirectory {
  find: (node: string) => Promise<AgentNode | undefined>;
  /** Of those that an operator has written down. */
  names: () => Promise<string[]>;
  /** Told once it is known that nobody listens there any more; @returns how to call that off. */
  onLost: (node: string, instance: AgentInstance, onLost: () => void) => () => void;
}

export class AgentNodesError extends Error {}

/**
 * @param sources JSON texts, each `{node: "http://…" | {url, reasoners, skills, headers, timeout_ms, max_concurrent, max_concurrent_of, retry}}`; a
 *   later one wins where both name a node
 */
export function parseAgentNodes(sources: { from: string; text: string }[]): AgentNodeDirectory {
  const nodes = new Map<string, AgentNode>();
  for (const { from, text } of sources) {
    for (const [node, config] of Object.entries(readConfig(from, text))) nodes.set(node, toAgentNode(node, config));
  }
  return {
    find: (node) => Promise.resolve(nodes.get(node)),
    names: () => Promise.resolve([...nodes.keys()]),
    onLost: () => () => undefined,
  };
}

/** The directory that `PERDURE_AGENT_NODES_FILE` and `PERDURE_AGENT_NODES` describe. */
export function loadAgentNodes(env: { file?: string | undefined; json?: string | undefined }): AgentNodeDirectory {
  const sources: { from: string; text: string }[] = [];
  if (env.file !== undefined)
    sources.push({ from: `PERDURE_AGENT_NODES_FILE (${env.file})`, text: readText(env.file) });
  if (env.json !== undefined) sources.push({ from: 'PERDURE_AGENT_NODES', text: env.json });
  return parseAgentNodes(sources);
}

function areHttpHeaders(headers: Record<string, string>): boolean {
  try {
    for (const [name, value] of Object.entries(headers)) {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    }
    return true;
  } catch {
    return false;
  }
}

/** One that takes calls, not among those to avoid if there is another; undefined where there is none. */
export function pickInstance({ instances }: AgentNode, avoid: ReadonlySet<string>): AgentInstance | undefined {
  const able = instances.filter(({ isDraining }) => !isDraining);
  const better = able.filter(({ holder }) => !holder || !avoid.has(holder.instanceId));
  const among = better.length > 0 ? better : able;
  return among[Math.floor(Math.random() * among.length)];
}

/** The target that `node.name` stands for, or what is wrong with it. */
export function targetOf(node: AgentNode, targetName: string): Target | undefined {
  const type = typeOf(node, targetName);
  return type && { node: node.node, name: targetName, type };
}

function typeOf(node: AgentNode, targetName: string): TargetType | undefined {
  if (node.reasoners?.includes(targetName)) return 'reasoner';
  if (node.skills?.includes(targetName)) return 'skill';
  return node.reasoners || node.skills ? undefined : 'reasoner';
}

function readConfig(from: string, text: string): z.infer<typeof agentNodesConfig> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new AgentNodesError(`${from} is not JSON`);
  }
  const parsed = agentNodesConfig.safeParse(json);
  if (parsed.success) return parsed.data;
  const flaws = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'top level'}: ${message}`);
  throw new AgentNodesError(`${from}: ${flaws.join('; ')}`);
}

/** Of a URL: neither user name nor password stands in it. What is no URL has none. */
export function hasNoCredentials(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return !url || (url.username === '' && url.password === '');
}

function toAgentNode(node: string, config: z.infer<typeof agentNodeConfig>): AgentNode {
  const { url, reasoners, skills, headers, timeout_ms, max_concurrent, max_concurrent_of, retry } = config;
  return {
    node,
    instances: [{ url: url.replace(/\/+$/, '') }],
    ...(reasoners && { reasoners }),
    ...(skills && { skills }),
    // In lower case, as ours are: theirs must not stand beside ours under another spelling.
    headers: Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])),
    ...(timeout_ms !== undefined && { timeoutMs: timeout_ms }),
    ...(max_concurrent !== undefined && { maxConcurrent: max_concurrent }),
    ...(max_concurrent_of && { maxConcurrentOf: new Map(Object.entries(max_concurrent_of)) }),
    retry: {
      ...(retry?.max_attempts !== undefined && { maximumAttempts: retry.max_attempts }),
      ...(retry?.initial_interval_ms !== undefined && { initialIntervalMs: retry.initial_interval_ms }),
      ...(retry?.backoff_coefficient !== undefined && { backoffCoefficient: retry.backoff_coefficient }),
      ...(retry?.max_interval_ms !== undefined && { maximumIntervalMs: retry.max_interval_ms }),
    },
  };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (err) {
    throw new AgentNodesError(`PERDURE_AGENT_NODES_FILE: cannot read ${file} (${(err as NodeJS.ErrnoException).code})`);
  }
}
