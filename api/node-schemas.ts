import { z } from 'zod';
import { hasNoCredentials, NAME } from '../common/agent-nodes.ts';
import { INSTANCE_PHASES } from '../workflows/node-contract.ts';

/** What processes of agent nodes send, in AgentField's shapes: what is not ours in them is kept or ignored. */

const MAX_FUNCTIONS = 500;

const nodeName = z.string().regex(NAME, 'letters, digits, "-" and "_", at most 128');
const instanceId = z
  .string()
  .regex(/^[\x21-\x7e]{0,128}$/, 'must be up to 128 visible ASCII characters')
  .nullish()
  .transform((id) => id || undefined)
  .meta({ description: 'One process, until it ends; made of base_url when absent' });

const maxConcurrent = z
  .int()
  .min(1)
  .max(100_000)
  .nullish()
  .meta({ description: 'How many executions it takes at a time; the others wait. Absent: any number' });

const nodeFunction = z.looseObject({
  id: nodeName,
  input_schema: z.record(z.string(), z.json()).nullish().meta({ description: 'JSON Schema' }),
  output_schema: z.record(z.string(), z.json()).nullish(),
  tags: z.array(z.string().max(100)).max(50).nullish(),
  description: z.string().max(4000).nullish(),
  max_concurrent: maxConcurrent,
});

export const registerRequest = z
  .looseObject({
    id: nodeName,
    base_url: z
      .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
      .refine(hasNoCredentials, 'must not contain credentials')
      .meta({ description: 'Under which Perdure reaches the process' }),
    version: z.string().max(100).nullish(),
    instance_id: instanceId,
    lifecycle_status: z.string().max(100).nullish(),
    reasoners: z.array(nodeFunction).max(MAX_FUNCTIONS).nullish(),
    skills: z.array(nodeFunction).max(MAX_FUNCTIONS).nullish(),
    communication_config: z
      .looseObject({
        heartbeat_interval: z
          .string()
          .max(20)
          .nullish()
          .meta({ description: 'As `2s`; what is silent for two is asked after' }),
      })
      .nullish(),
    max_concurrent: maxConcurrent,
    validate_input: z.boolean().nullish().meta({ description: 'false: inputs are not held against the input schemas' }),
  })
  .meta({ id: 'RegisterRequest' });

export const heartbeatRequest = z
  .looseObject({ instance_id: instanceId, status: z.string().max(100).nullish() })
  .meta({ id: 'HeartbeatRequest' });

export const statusRequest = z
  .looseObject({ instance_id: instanceId, phase: z.string().max(100).nullish() })
  .meta({ id: 'NodeStatusRequest' });

export const shutdownRequest = z
  .looseObject({ instance_id: instanceId, reason: z.string().max(1000).nullish() })
  .meta({ id: 'ShutdownRequest' });

const timestamp = z.iso.datetime();
export const nodeView = z
  .object({
    id: z.string(),
    base_url: z.string().nullable().meta({ description: 'Of the instance that registered last' }),
    version: z.string().nullable(),
    source: z.enum(['registered', 'configured']),
    health_status: z.enum(['active', 'inactive', 'unknown']),
    lifecycle_status: z.enum([...INSTANCE_PHASES]).nullable(),
    registered_at: timestamp.nullable(),
    last_heartbeat: timestamp.nullable(),
    reasoners: z.array(nodeFunction),
    skills: z.array(nodeFunction),
    instances: z.array(
      z.object({
        instance_id: z.string().nullable(),
        base_url: z.string(),
        version: z.string().nullable(),
        status: z.enum(['starting', 'live', 'draining', 'lost']),
        registered_at: timestamp.nullable(),
        renewed_at: timestamp.nullable(),
        last_heartbeat: timestamp.nullable(),
        lease_ms: z.int().nullable(),
      }),
    ),
  })
  .meta({ id: 'AgentNode' });

export const registerAnswer = z
  .object({
    success: z.literal(true),
    message: z.string(),
    node_id: z.string(),
    instance_id: z.string(),
    lease_seconds: z.number(),
  })
  .meta({ id: 'RegisterAnswer' });

export const heartbeatAnswer = z
  .object({
    success: z.literal(true),
    message: z.string(),
    timestamp,
    instance_id: z.string().optional(),
    lease_seconds: z.number().optional(),
  })
  .meta({ id: 'HeartbeatAnswer' });

export const leaseAnswer = z
  .object({ lease_seconds: z.int(), next_lease_renewal: timestamp })
  .meta({ id: 'LeaseAnswer' });

export const nodeList = z.object({ nodes: z.array(nodeView), count: z.int() }).meta({ id: 'AgentNodeList' });

export const takenAnswer = z
  .looseObject({ success: z.literal(true), message: z.string().optional() })
  .meta({ id: 'TakenAnswer' });

const capability = z.looseObject({
  id: z.string(),
  description: z.string().nullable().optional(),
  tags: z.array(z.string()),
  input_schema: z.json().optional(),
  output_schema: z.json().optional(),
  invocation_target: z.string(),
});

export const discoveryAnswer = z
  .object({
    discovered_at: timestamp,
    total_agents: z.int(),
    total_reasoners: z.int(),
    total_skills: z.int(),
    pagination: z.object({ limit: z.int(), offset: z.int(), has_more: z.boolean() }),
    capabilities: z.array(
      z.object({
        agent_id: z.string(),
        base_url: z.string(),
        version: z.string(),
        health_status: z.string(),
        deployment_type: z.string(),
        last_heartbeat: z.string(),
        reasoners: z.array(capability),
        skills: z.array(capability),
      }),
    ),
  })
  .meta({ id: 'Capabilities', description: 'With ?format=compact: the names alone' });

export const noteRequest = z
  .looseObject({ message: z.string().min(1), tags: z.array(z.string()).nullish() })
  .meta({ id: 'NoteRequest' });
const note = z.object({ message: z.string(), tags: z.array(z.string()), timestamp: z.string() });
export const noteAnswer = z.object({ success: z.literal(true), note, message: z.string() }).meta({ id: 'NoteAnswer' });
export const noteList = z
  .object({ execution_id: z.string(), notes: z.array(note), total: z.int() })
  .meta({ id: 'NoteList' });

const MAX_LOG_ENTRIES = 1_000;
const logEntry = z.looseObject({ message: z.string() });
export const logsRequest = z
  .union([z.looseObject({ entries: z.array(logEntry).max(MAX_LOG_ENTRIES) }), logEntry])
  .meta({ id: 'LogsRequest', description: 'One entry, or a list' });
export const logsAnswer = z
  .object({ success: z.literal(true), execution_id: z.string(), accepted: z.int() })
  .meta({ id: 'LogsAnswer' });

export const legacyAnswer = z
  .object({ result: z.json(), node_id: z.string(), duration_ms: z.int(), timestamp })
  .meta({ id: 'LegacyAnswer' });
