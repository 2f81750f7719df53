import { createHash } from 'node:crypto';
import type { Client, Connection } from '@temporalio/client';
import type { z } from 'zod';
import { isNotFound, isOutage } from '../common/temporal-errors.ts';
import type { KnownNode, NodeRegistry } from '../nodes/registry.ts';
import type { agentNode } from '../workflows/agent-node.ts';
import type { JsonObject } from '../workflows/execution.ts';
import {
  NODE_WORKFLOW,
  nodeOfWorkflowId,
  nodeWorkflowId,
  phaseSignal,
  registerSignal,
} from '../workflows/node-contract.ts';
import type { InstancePhase, NodeFunction, Registration } from '../workflows/node-contract.ts';
import { isThere } from '../workflows/node-state.ts';
import type { NodeInstance, NodeState } from '../workflows/node-state.ts';
import { ApiError, notSeen } from './errors.ts';
import type { registerRequest } from './node-schemas.ts';

/** What processes of agent nodes tell of themselves. All of it but a heartbeat is durable when it resolves. */
export interface Nodes {
  register: (request: z.infer<typeof registerRequest>) => Promise<{ state: NodeState; instance: NodeInstance }>;
  /** Throws `node_not_found` where the process is to register again. */
  heartbeat: (node: string, instanceId: string | undefined) => Promise<NodeInstance | undefined>;
  setPhase: (node: string, instanceId: string | undefined, phase: InstancePhase, reason?: string) => Promise<void>;
  find: (node: string) => Promise<KnownNode | undefined>;
  /** Names of those that have registered, as far as Temporal's visibility knows. */
  names: () => Promise<string[]>;
  /** When each instance was last heard of, ISO 8601, by its id. */
  lastHeartbeats: (node: string) => Promise<Map<string, string>>;
}

const MAX_INSTANCES = 100;
const MAX_REGISTRATION_BYTES = 512 * 1024;
const MAX_NODES = 1_000;
/** Of one that does not say how often it is heard of. */
const DEFAULT_LEASE_MS = 300_000;
const MIN_LEASE_MS = 1_000;
const MAX_LEASE_MS = 3_600_000;
/** A heartbeat is passed on when so much of the lease has gone by since the last one that was. */
const PASS_ON_SHARE = 1 / 4;
const CALL_DEADLINE_MS = 5_000;

export function createNodes(client: Client, taskQueue: string, registry: NodeRegistry): Nodes {
  const { connection } = client as Client & { connection: Connection };
  const call = <T>(fn: () => Promise<T>) => connection.withDeadline(Date.now() + CALL_DEADLINE_MS, fn);
  const workflowIdOf = (node: string) => nodeWorkflowId(node, taskQueue);
  /** When a heartbeat of an instance was last passed on, by node and instance. */
  const passedOn = new Map<string, number>();

  async function register(request: z.infer<typeof registerRequest>): ReturnType<Nodes['register']> {
    const registration = registrationOf(request);
    const { id: node } = request;
    if (Buffer.byteLength(JSON.stringify(registration)) > MAX_REGISTRATION_BYTES)
      throw new ApiError('body_too_large', `the registration is larger than ${MAX_REGISTRATION_BYTES} bytes`);
    const before = await registry.find(node);
    const { instanceId } = registration;
    const others = before?.state.instances.filter((one) => isThere(one) && one.instanceId !== instanceId) ?? [];
    if (others.length >= MAX_INSTANCES)
      throw new ApiError('too_many_instances', `agent node '${node}' has ${MAX_INSTANCES} instances already`);
    await call(() =>
      client.workflow.signalWithStart<typeof agentNode, [Registration]>(NODE_WORKFLOW, {
        workflowId: workflowIdOf(node),
        taskQueue,
        args: [{ node }],
        signal: registerSignal,
        signalArgs: [registration],
      }),
    );
    const known = await registry.refresh(node);
    const instance = known?.state.instances.find((one) => one.instanceId === instanceId);
    if (!known || !instance) throw notSeen();
    return { state: known.state, instance };
  }

  async function heartbeat(node: string, instanceId: string | undefined): Promise<NodeInstance | undefined> {
    const known = await registry.find(node);
    if (!known) throw unknownNode(node);
    const there = known.state.instances.filter(isThere);
    const named = there.find((one) => one.instanceId === instanceId);
    if (instanceId !== undefined && !named) throw unknownNode(node);
    if (there.length === 0) throw unknownNode(node);
    // One that does not say who it is may be any of several: they are asked after when their time is over.
    const instance = named ?? (there.length === 1 ? there[0] : undefined);
    if (instance) await passOn(node, instance, known);
    return instance;
  }

  async function passOn(node: string, { instanceId, leaseMs }: NodeInstance, known: KnownNode): Promise<void> {
    const key = `${node}/${instanceId}`;
    if (Date.now() - (passedOn.get(key) ?? 0) < leaseMs * PASS_ON_SHARE) return;
    const lease = known.leaseOf(instanceId);
    // No worker has begun with it yet: then nobody waits for heartbeats either.
    if (!lease) return;
    passedOn.set(key, Date.now());
    try {
      await call(() =>
        connection.workflowService.recordActivityTaskHeartbeatById({
          namespace: client.options.namespace,
          workflowId: workflowIdOf(node),
          runId: lease.runId,
          activityId: lease.activityId,
        }),
      );
    } catch (err) {
      passedOn.delete(key);
      // It ran out, and somebody asks after the instance; or Temporal is away, which is no reason to register again.
      if (!isNotFound(err) && !isOutage(err)) throw err;
    }
    if (passedOn.size > MAX_NODES * MAX_INSTANCES) passedOn.clear();
  }

  return {
    register,
    heartbeat,
    find: registry.find,

    setPhase: async (node, instanceId, phase, reason) => {
      const instance = await heartbeat(node, instanceId);
      const status = phase === 'ready' ? 'live' : phase === 'offline' ? 'lost' : phase;
      if (!instance || instance.status === status) return;
      const change = { instanceId: instance.instanceId, phase, ...(reason !== undefined && { reason }) };
      await call(() => client.workflow.getHandle(workflowIdOf(node)).signal(phaseSignal, change));
    },

    names: async () => {
      const names = new Set<string>();
      const query = `WorkflowType="${NODE_WORKFLOW}" AND ExecutionStatus="Running" AND TaskQueue="${taskQueue}"`;
      await connection.withDeadline(Date.now() + 2 * CALL_DEADLINE_MS, async () => {
        for await (const { workflowId } of client.workflow.list({ query, pageSize: 1000 })) {
          names.add(nodeOfWorkflowId(workflowId));
          if (names.size >= MAX_NODES) break;
        }
      });
      for (const name of registry.names()) names.add(name);
      return [...names].toSorted();
    },

    lastHeartbeats: async (node) => {
      const known = await registry.find(node);
      const described = await call(() => client.workflow.getHandle(workflowIdOf(node)).describe());
      const at = new Map<string, string>();
      for (const { instanceId } of known?.state.instances ?? []) {
        const lease = known?.leaseOf(instanceId);
        const pending = described.raw.pendingActivities?.find(({ activityId }) => activityId === lease?.activityId);
        const seconds = Number(pending?.lastHeartbeatTime?.seconds ?? 0);
        if (seconds > 0) at.set(instanceId, new Date(seconds * 1000).toISOString());
      }
      return at;
    },
  };
}

/** AgentField's SDKs register again when a heartbeat is answered so. */
function unknownNode(node: string): ApiError {
  return new ApiError('node_not_found', `agent node '${node}' is not registered: register it`);
}

/** Fields of a registration that have a place of their own, or none at all: the rest is kept as it came. */
const OWN_FIELDS = new Set([
  'id',
  'base_url',
  'version',
  'instance_id',
  'reasoners',
  'skills',
  'validate_input',
  'max_concurrent',
  'last_heartbeat',
  'registered_at',
  'callback_discovery',
]);

function registrationOf(request: z.infer<typeof registerRequest>): Registration {
  const {
    base_url,
    version,
    instance_id,
    lifecycle_status,
    reasoners,
    skills,
    communication_config,
    validate_input,
    max_concurrent,
  } = request;
  const baseUrl = base_url.replace(/\/+$/, '');
  const intervalMs = durationMs(communication_config?.heartbeat_interval ?? undefined);
  const details = Object.fromEntries(
    Object.entries(request as JsonObject).filter(([name, value]) => !OWN_FIELDS.has(name) && value !== null),
  );
  return {
    instanceId: instance_id ?? `url_${createHash('sha256').update(baseUrl).digest('hex').slice(0, 16)}`,
    baseUrl,
    ...(version && { version }),
    reasoners: (reasoners ?? []).map(functionOf),
    skills: (skills ?? []).map(functionOf),
    leaseMs:
      intervalMs === undefined ? DEFAULT_LEASE_MS : Math.min(Math.max(2 * intervalMs, MIN_LEASE_MS), MAX_LEASE_MS),
    at: new Date().toISOString(),
    details,
    ...(max_concurrent && { maxConcurrent: max_concurrent }),
    // So says a process of an older SDK that has just begun; one that connects again says `degraded`.
    ...(instance_id === undefined && lifecycle_status === 'starting' && { isFresh: true }),
    ...(validate_input === false && { isUnchecked: true }),
  };
}

function functionOf({
  id,
  input_schema,
  output_schema,
  tags,
  description,
  max_concurrent,
}: NonNullable<z.infer<typeof registerRequest>['skills']>[number]): NodeFunction {
  return {
    name: id,
    ...(input_schema && { inputSchema: input_schema as JsonObject }),
    ...(output_schema && { outputSchema: output_schema as JsonObject }),
    ...(tags && tags.length > 0 && { tags }),
    ...(description && { description }),
    ...(max_concurrent && { maxConcurrent: max_concurrent }),
  };
}

const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** A duration as Go writes it, with one unit: `2s`, `500ms`. */
function durationMs(text: string | undefined): number | undefined {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text?.trim() ?? '') ?? [];
  const ms = Number(amount) * (UNITS[unit] ?? Number.NaN);
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}
