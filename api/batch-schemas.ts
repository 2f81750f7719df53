import { z } from 'zod';
import { EXECUTION_STATUSES } from '../workflows/execution.ts';
import { executeRequest } from './schemas.ts';
import { webhookEvent, webhookRegistration } from './webhook-schemas.ts';
import { json } from './steering-schemas.ts';

/** What is asked of batches and told of them: see `schemas.ts`. */

export const MAX_BATCH_ITEMS = 1_000;

const timestamp = z.iso.datetime();

export const batchItemRequest = executeRequest
  .pick({ input: true, context: true, webhook: true, timeout_ms: true })
  .extend({ target: z.string().max(300).meta({ description: 'node.name' }) })
  .meta({ id: 'BatchItemRequest' });

export const batchRequest = z
  .strictObject({
    items: z
      .array(json)
      .min(1)
      .max(MAX_BATCH_ITEMS)
      .meta({ description: 'BatchItemRequest each; one that is not is refused by itself' }),
    max_in_flight: z
      .int()
      .min(1)
      .max(MAX_BATCH_ITEMS)
      .default(50)
      .meta({ description: 'How many of them are open at the same time; the next begins when one has ended' }),
    webhook: webhookRegistration.optional().meta({ description: 'Told once when all items have ended' }),
  })
  .meta({ id: 'BatchRequest' });

const batchLinks = z.object({ self: z.string(), run: z.string(), cancel: z.string() }).meta({ id: 'BatchLinks' });

const refusal = z
  .object({
    code: z.string(),
    detail: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })),
  })
  .meta({ id: 'BatchRefusal' });

export const batchAccepted = z
  .object({
    batch_id: z.string(),
    run_id: z.string().meta({ description: 'All items are of this run' }),
    total: z.int(),
    accepted_count: z.int(),
    refused_count: z.int(),
    max_in_flight: z.int(),
    webhook_registered: z.boolean(),
    created_at: timestamp,
    items: z.array(
      z.object({ index: z.int(), execution_id: z.string().nullable(), error: refusal.nullable() }).meta({
        id: 'BatchItemAnswer',
      }),
    ),
    links: batchLinks,
  })
  .meta({ id: 'BatchAccepted' });

export const ITEM_STATUSES = ['pending', ...EXECUTION_STATUSES, 'not_started'] as const;

export const batchView = z
  .object({
    batch_id: z.string(),
    run_id: z.string(),
    status: z.enum(['running', 'completed', 'cancelled']),
    total: z.int().meta({ description: 'Items that were accepted' }),
    counts: z
      .record(z.enum(ITEM_STATUSES), z.int())
      .meta({ description: 'pending: its turn has not come; not_started: the batch was cancelled before' }),
    max_in_flight: z.int(),
    created_at: timestamp,
    completed_at: timestamp.nullable(),
    webhook_registered: z.boolean(),
    webhook_events: z.array(webhookEvent),
    items: z.array(
      z
        .object({
          index: z.int(),
          execution_id: z.string(),
          target: z.string(),
          status: z.enum(ITEM_STATUSES),
          error: z.string().nullable(),
          duration_ms: z.int().nullable(),
        })
        .meta({ id: 'BatchItem' }),
    ),
    next_cursor: z.string().nullable(),
    links: batchLinks,
  })
  .meta({ id: 'BatchView' });
export type BatchView = z.infer<typeof batchView>;
