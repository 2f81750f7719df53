import { z } from 'zod';
import { waitRequest } from '../common/wait-request.ts';
import { json, openWait } from './steering-schemas.ts';
import { ESTIMATE_BASES } from './estimate.ts';
import { webhookEvent, webhookRegistration } from './webhook-schemas.ts';
import { EXECUTION_STATUSES, LANES, STEP_KINDS, TARGET_TYPES } from '../workflows/execution.ts';

/**
 * Every request and answer body. They validate and they make the OpenAPI document, so descriptions live here.
 * snake_case exists only in this file, in `execution-view.ts` and where AgentField's words are read.
 */

const MAX_TIMEOUT_MS = 30 * 24 * 3_600_000;
const jsonObject = z.record(z.string(), z.unknown());

export const executeRequest = z
  .strictObject({
    input: jsonObject.default({}).meta({ description: 'Handed to the agent as it is. Missing means {}' }),
    webhook: webhookRegistration.optional(),
    run_webhook: webhookRegistration
      .optional()
      .meta({ description: 'Told once when all executions of the run have ended. One per run' }),
    timeout_ms: z
      .int()
      .min(1)
      .max(MAX_TIMEOUT_MS)
      .optional()
      .meta({ description: 'Limit of the whole execution in milliseconds; past it the status is timeout' }),
    priority: z.int().min(1).max(5).optional().meta({ description: '1 goes first, 5 last; 3 when absent' }),
    fairness_key: z
      .string()
      .regex(/^[\x21-\x7e]{1,64}$/, 'must be 1 to 64 visible ASCII characters')
      .optional()
      .meta({ description: 'Whose it is: those who wait for a worker take turns by it' }),
    context: jsonObject.optional().meta({ description: 'Stored with the execution, never sent to the agent' }),
    run_metadata: jsonObject.optional().meta({ description: "AgentField's; accepted, not used" }),
  })
  .meta({ id: 'ExecuteRequest' });
export type ExecuteRequest = z.infer<typeof executeRequest>;

export const batchStatusRequest = z
  .strictObject({ execution_ids: z.array(z.string().max(256)).max(500) })
  .meta({ id: 'BatchStatusRequest' });

/** Read by hand in `agent-callback.ts`: agents send much that is not ours, and nothing of it is refused. */
export const statusCallback = z
  .looseObject({
    status: z.string().max(64).meta({
      description:
        'queued, running, waiting, paused, succeeded, failed, timeout, cancelled, or an alias AgentField takes',
    }),
    result: json.optional(),
    error: z.string().optional(),
    error_details: json.optional(),
    progress: z.number().optional().meta({ description: "AgentField's name for progress_pct" }),
    progress_pct: z.number().min(0).max(100).optional(),
    current_action: z.string().optional(),
    estimated_completion: z.iso.datetime({ offset: true }).optional(),
    waiting: waitRequest
      .optional()
      .meta({ description: 'With status waiting: the turn is over until this is answered' }),
    checkpoint: json.optional().meta({ description: 'With waiting: what to have again then' }),
    partial_result: json.optional().meta({ description: 'With an end that is not success' }),
  })
  .meta({ id: 'StatusCallback' });

const timestamp = z.iso.datetime();
const executionId = z.string().meta({ description: 'exec_… ; it is the Temporal workflow id' });

const links = z
  .object({
    self: z.string(),
    events: z.string(),
    cancel: z.string(),
    messages: z.string(),
    steer: z.string().meta({ description: 'A WebSocket' }),
    context: z.string(),
    status: z.string(),
    redeliver: z.string().optional(),
  })
  .meta({ id: 'Links' });

export const syncAnswer = z
  .object({
    execution_id: executionId,
    run_id: z.string(),
    status: z.enum(EXECUTION_STATUSES),
    result: json.optional(),
    error: z.string().optional(),
    error_message: z.string().optional(),
    error_category: z.string().optional(),
    error_details: json.optional(),
    partial_result: json.optional(),
    details: z.string().optional(),
    duration_ms: z.int(),
    finished_at: timestamp,
    webhook_registered: z.boolean(),
  })
  .meta({ id: 'SyncAnswer' });

export const acceptedAnswer = z
  .object({
    execution_id: executionId,
    run_id: z.string(),
    workflow_id: z.string().meta({ description: "AgentField's name for the run id" }),
    status: z.enum(EXECUTION_STATUSES),
    target: z.string(),
    type: z.enum(TARGET_TYPES),
    created_at: timestamp,
    webhook_registered: z.boolean(),
    links,
  })
  .meta({ id: 'AcceptedAnswer' });

export const WAITING_KINDS = ['worker', 'agent', 'retry', 'callback', 'human', 'webhook', 'permit'] as const;

export const waitingOnSchema = z
  .object({
    kind: z.enum(WAITING_KINDS),
    since: timestamp,
    detail: z.string(),
    attempt: z.int().nullable().meta({ description: 'Of the activity: this one, or the next' }),
    next_retry_at: timestamp.nullable(),
    last_heartbeat_at: timestamp.nullable(),
    last_error: z.string().nullable(),
    queue_position: z.int().nullable().optional().meta({ description: 'Of a permit: 1 is the next' }),
  })
  .meta({ id: 'WaitingOn', description: 'Why it is not moving' });
export type WaitingOn = z.infer<typeof waitingOnSchema>;

export const execution = z
  .object({
    execution_id: executionId,
    run_id: z.string(),
    target: z.string(),
    type: z.enum(TARGET_TYPES),
    parent_execution_id: z.string().optional(),
    session_id: z.string().optional(),
    actor_id: z.string().optional(),
    status: z.enum(EXECUTION_STATUSES),
    created_at: timestamp,
    started_at: timestamp.nullable(),
    completed_at: timestamp.nullable(),
    duration_ms: z.int().nullable().meta({ description: 'From started_at (else created_at) to completed_at' }),
    waiting_on: waitingOnSchema
      .nullable()
      .meta({ description: 'What it waits for; attempts and errors are there once it has waited for two seconds' }),
    lane: z
      .enum(LANES)
      .nullable()
      .meta({ description: 'How the agent was called: within a workflow task (local) or by an activity of its own' }),
    current_action: z.string().nullable(),
    progress_pct: z.number().nullable(),
    estimated_completion: z.string().nullable().meta({ description: 'When it should be done' }),
    estimate_basis: z
      .enum(ESTIMATE_BASES)
      .nullable()
      .meta({ description: 'Whose estimate that is: the agent, or made of its progress, or of past executions' }),
    last_step: z
      .object({
        sequence: z.int(),
        kind: z.enum(STEP_KINDS),
        name: z.string().nullable(),
        summary: z.string().nullable(),
      })
      .nullable(),
    usage: z
      .object({ input_tokens: z.number(), output_tokens: z.number(), cost_usd: z.number() })
      .nullable()
      .meta({ description: 'What the agent has reported to have used, summed up' }),
    context_rev: z.int().meta({ description: "Revision of the agent's context; 0 when it shows none" }),
    turn: z.int().meta({ description: 'How often the agent was given the word; more than 1 after a question' }),
    cancelling: z.boolean().meta({ description: 'The agent was asked to come to an end, and may take a while' }),
    paused: z
      .object({ since: timestamp, by: z.string().nullable(), reason: z.string().nullable() })
      .nullable()
      .meta({ description: 'Who holds it' }),
    waiting: openWait.nullable().meta({ description: 'What the agent wants to know before it goes on' }),
    open_messages: z.int().meta({ description: 'Messages that the agent has not dealt with' }),
    checkpoint: json.optional().meta({ description: "The agent's last one, where the end is not success" }),
    partial_result: json.optional().meta({ description: 'What there is of a result, where the end is not success' }),
    result: json,
    error: z.string().nullable(),
    error_details: json,
    error_category: z.string().nullable(),
    restart_of: z
      .object({ execution_id: executionId, run_id: z.string(), reason: z.string().nullable() })
      .optional()
      .meta({ description: 'It is that execution again' }),
    reused_from: z.string().optional().meta({ description: 'The execution whose result it has: no agent was called' }),
    webhook_registered: z.boolean(),
    webhook_events: z.array(webhookEvent),
    sequence: z.int().meta({ description: 'Number of the newest entry in the log of this execution' }),
  })
  .meta({ id: 'Execution' });
export type Execution = z.infer<typeof execution>;

export const logEvent = z
  .object({
    sequence: z.int().meta({ description: 'Number of the entry: 1, 2, 3 … without a gap. The SSE id' }),
    kind: z.string().meta({
      description:
        'queued, running, progress, steer.*, paused, resumed, waiting, answered, cancelling, outcome, webhook.attempt; what else an agent says has the name that it gave. The SSE event',
    }),
    at: timestamp.meta({ description: 'When Temporal recorded it' }),
    data: z.record(z.string(), json),
  })
  .meta({ id: 'LogEvent' });
export type LogEvent = z.infer<typeof logEvent>;

/** The SSE id is a cursor here: numbers are those of an execution. */
export const runLogEvent = z.object({ execution_id: executionId, ...logEvent.shape }).meta({ id: 'RunLogEvent' });
export type RunLogEvent = z.infer<typeof runLogEvent>;

export const CONTROLS = ['continue', 'hold', 'cancel'] as const;

/** What an agent must know next. */
export const agentDirections = z
  .object({
    execution_id: executionId,
    control: z.enum(CONTROLS).meta({ description: 'hold: stop until told otherwise; cancel: come to an end' }),
    messages: z.array(json).meta({ description: 'Until you say of each what became of it' }),
    context_rev: z.int(),
    sequence: z.int(),
  })
  .meta({ id: 'AgentDirections' });

export const logPage = z
  .object({
    events: z.array(logEvent),
    next_after: z.int().meta({ description: 'What to pass as after to read on' }),
    has_more: z.boolean().meta({ description: 'There are entries after these now' }),
    is_complete: z.boolean().meta({ description: 'Nothing more will be added, unless its webhook is sent again' }),
  })
  .meta({ id: 'LogPage' });

export const runLogPage = z
  .object({
    events: z.array(runLogEvent),
    next_after: z.string().meta({ description: 'What to pass as after to read on: how far each execution was read' }),
    has_more: z.boolean().meta({ description: 'There are entries after these now' }),
    is_complete: z
      .boolean()
      .meta({ description: 'The logs of all executions are complete, and none has joined the run since' }),
  })
  .meta({ id: 'RunLogPage' });

export const pausedAnswer = execution.extend({ paused_at: timestamp.nullable() }).meta({ id: 'PausedAnswer' });
export const resumedAnswer = execution.extend({ resumed_at: timestamp }).meta({ id: 'ResumedAnswer' });

/** The execution, and what its agent must know next. */
export const callbackAnswer = execution.extend(agentDirections.shape).meta({ id: 'CallbackAnswer' });

export const batchStatusAnswer = z
  .record(z.string(), z.union([execution, z.object({ execution_id: z.string(), status: z.literal('not_found') })]))
  .meta({ id: 'BatchStatusAnswer' });

export const cancelAnswer = z
  .object({
    execution_id: executionId,
    run_id: z.string(),
    previous_status: z.enum(EXECUTION_STATUSES),
    status: z.literal('cancelling'),
    reason: z.string().optional(),
    links,
  })
  .meta({ id: 'CancelAnswer' });

export const redeliverAnswer = z
  .object({ execution_id: executionId, run_id: z.string(), status: z.enum(EXECUTION_STATUSES), links })
  .meta({ id: 'RedeliverAnswer' });

export const executionList = z
  .object({
    executions: z.array(execution),
    next_cursor: z.string().nullable().meta({ description: 'Null on the last page' }),
  })
  .meta({ id: 'ExecutionList' });

export const problemDetails = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string(),
    detail: z.string(),
    error: z.string().meta({ description: "The same text under AgentField's name" }),
    message: z.string().optional().meta({ description: 'The same text again, where AgentField has it so: of memory' }),
    request_id: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    execution_id: z.string().optional(),
    rev: z.int().optional().meta({ description: "Revision of the agent's context, where another one was meant" }),
    patches: z.array(json).optional().meta({ description: 'What has changed since the revision that was meant' }),
    control: z.literal('cancel').optional().meta({ description: 'To an agent whose execution is over: stop' }),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details' });
