import { z } from 'zod';
import { webhookEvent } from './webhook-schemas.ts';
import { EXECUTION_STATUSES, TARGET_TYPES } from '../workflows/execution.ts';
import { RUN_STATUSES } from '../workflows/run-contract.ts';

/** What is asked of runs and told of them: see `schemas.ts`. */

const timestamp = z.iso.datetime();
const usage = z.object({ input_tokens: z.number(), output_tokens: z.number(), cost_usd: z.number() });
const runLinks = z.object({ self: z.string(), events: z.string(), cancel: z.string() }).meta({ id: 'RunLinks' });

export const runNode = z
  .object({
    execution_id: z.string(),
    parent_execution_id: z.string().nullable().meta({ description: 'As its client said' }),
    depth: z.int().meta({ description: '0 for a root' }),
    is_root: z.boolean().meta({ description: 'It has no parent, or none that is of this run' }),
    breaks_cycle: z.boolean().meta({ description: 'Its parents led round to itself; counted as a root' }),
    target: z.string(),
    type: z.enum(TARGET_TYPES),
    status: z.enum(EXECUTION_STATUSES),
    cancelling: z.boolean(),
    created_at: timestamp,
    started_at: timestamp.nullable(),
    completed_at: timestamp.nullable(),
    duration_ms: z.int().nullable(),
    error: z.string().nullable(),
    usage: usage.nullable(),
    links: z.object({ self: z.string() }),
  })
  .meta({ id: 'RunNode' });
export type RunNode = z.infer<typeof runNode>;

export const runTree = z
  .object({
    run_id: z.string(),
    workflow_id: z.string().meta({ description: "AgentField's name for the run id" }),
    status: z
      .enum(RUN_STATUSES)
      .nullable()
      .meta({ description: 'running until all have ended; then as its roots. Null where there are too many to read' }),
    is_cancelled: z.boolean().meta({ description: 'It takes no further executions' }),
    total_executions: z.int().meta({ description: 'That have joined' }),
    started_at: timestamp.nullable(),
    completed_at: timestamp.nullable(),
    counts: z.record(z.enum(EXECUTION_STATUSES), z.int()).nullable(),
    totals: z
      .object({ duration_ms: z.int().meta({ description: 'Of all that have ended, added up' }), usage })
      .nullable(),
    webhook_registered: z.boolean().meta({ description: 'The end of the run will be told, or was' }),
    webhook_events: z.array(webhookEvent),
    nodes: z.array(runNode).meta({ description: 'In the order in which they joined' }),
    next_cursor: z.string().nullable().meta({ description: 'Null on the last page' }),
    links: runLinks,
  })
  .meta({ id: 'RunTree' });
export type RunTree = z.infer<typeof runTree>;

export const runList = z
  .object({
    runs: z.array(
      z.object({
        run_id: z.string(),
        root_execution_id: z.string(),
        target: z.string(),
        root_status: z.enum(EXECUTION_STATUSES),
        created_at: timestamp,
        links: runLinks,
      }),
    ),
    next_cursor: z.string().nullable().meta({ description: 'Null on the last page' }),
  })
  .meta({ id: 'RunList' });

export const runCancelAnswer = z
  .object({
    run_id: z.string(),
    status: z.literal('cancelling'),
    is_reported: z
      .boolean()
      .meta({ description: 'false: no worker has taken it up yet. It is durable, and what it did is not known here' }),
    total_nodes: z.int(),
    cancelled_count: z.int().meta({ description: 'Were asked to cancel' }),
    skipped_count: z.int().meta({ description: 'Had ended' }),
    error_count: z.int(),
    nodes: z
      .array(
        z.object({
          execution_id: z.string(),
          result: z.enum(['cancelled', 'skipped', 'error']),
          previous_status: z.enum(EXECUTION_STATUSES).nullable(),
          error: z.string().nullable(),
        }),
      )
      .meta({ description: 'In the order in which they were asked: the deepest first' }),
    cancelled_at: timestamp,
    reason: z.string().optional(),
    links: runLinks,
  })
  .meta({ id: 'RunCancelAnswer' });
