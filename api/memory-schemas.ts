import { z } from 'zod';
import { MEMORY_SCOPES } from '../workflows/memory-contract.ts';
import { MAX_KEY_CHARS } from '../workflows/memory-state.ts';
import { numberParameter } from './json-body.ts';
import { json } from './steering-schemas.ts';

/** What agents send to remember and to recall, in AgentField's shapes: what is not ours in them is ignored. */

const key = z
  .string()
  .min(1)
  .max(MAX_KEY_CHARS)
  .refine((text) => text !== '__proto__', '__proto__ cannot be used as a key');
const scope = z.enum(MEMORY_SCOPES);
const optionalScope = scope.nullish().meta({ description: 'When absent, the first one whose header is there' });
const scopeId = z
  .string()
  .regex(/^[\x21-\x7e]{1,200}$/, 'must be 1 to 200 visible ASCII characters')
  .nullish()
  .meta({ description: "Instead of the scope's header" });

export const setMemoryRequest = z
  .object({
    key,
    data: json,
    scope: optionalScope,
    scope_id: scopeId,
  })
  .meta({ id: 'SetMemoryRequest' });

export const getMemoryRequest = z
  .object({ key, scope: optionalScope, scope_id: scopeId })
  .meta({ id: 'GetMemoryRequest' });

export const memoryListQuery = z.strictObject({ scope, scope_id: scopeId });

const MAX_PATTERNS = 50;

const eventFilter = {
  patterns: z
    .string()
    .transform((list) => list.split(',').filter((pattern) => pattern !== ''))
    .refine((list) => list.length <= MAX_PATTERNS, `at most ${MAX_PATTERNS} patterns`)
    .refine((list) => list.every(({ length }) => length <= MAX_KEY_CHARS), `at most ${MAX_KEY_CHARS} characters each`)
    .optional()
    .meta({ description: 'Comma-separated; `*` stands for any characters, `?` for one. All keys when absent' }),
  scope: scope.optional().meta({ description: 'All scopes when absent' }),
  scope_id: scopeId,
  since: z.iso
    .datetime({ offset: true, local: true })
    // Python leaves the zone out.
    .transform((text) => new Date(/(Z|[+-]\d\d:\d\d)$/.test(text) ? text : `${text}Z`).toISOString())
    .optional()
    .meta({ description: 'Changes after this time that are still kept come as well' }),
};

export const memoryEventsQuery = z.strictObject(eventFilter);
export const memoryHistoryQuery = z.strictObject({ ...eventFilter, limit: numberParameter(1, 1000).default(100) });

export type MemoryEventFilter = z.infer<typeof memoryEventsQuery>;

const timestamp = z.iso.datetime();

export const memoryValue = z
  .object({
    scope,
    scope_id: z.string(),
    key: z.string(),
    data: json,
    access_level: z.string(),
    created_at: timestamp,
    updated_at: timestamp,
    metadata: z.object({}),
    rev: z.int().meta({ description: 'Revision of the memory that wrote it' }),
  })
  .meta({ id: 'MemoryValue' });

export const memoryList = z.array(memoryValue).meta({ id: 'MemoryList' });

export const memoryEvent = z
  .object({
    id: z.string(),
    type: z.literal('memory_change'),
    timestamp,
    scope,
    scope_id: z.string(),
    key: z.string(),
    action: z.enum(['set', 'delete']),
    data: json,
    previous_data: json,
    metadata: z.object({
      agent_id: z.string().optional(),
      actor_id: z.string().optional(),
      workflow_id: z.string().optional(),
    }),
    rev: z.int(),
  })
  .meta({ id: 'MemoryEvent' });

export const memoryHistory = z.array(memoryEvent).meta({ id: 'MemoryHistory' });
