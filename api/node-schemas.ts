import { z } from 'zod';
import { NAME } from '../common/agent-nodes.ts';
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

const nodeFunction = z.looseObject({
  id: nodeName,
  input_schema: z.record(z.string(), z.json()).nullish().meta({ description: 'JSON Schema' }),
  output_schema: z.record(z.string(), z.json()).nullish(),
  tags: z.array(z.string().max(100)).max(50).nullish(),
  description: z.string().max(4000).nullish(),
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

function hasNoCredentials(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return !url || (url.username === '' && url.password === '');
}
