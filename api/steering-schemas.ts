import { z } from 'zod';
import { MESSAGE_STATUSES, WAIT_KINDS } from '../workflows/execution.ts';

/** What persons and agents send to a running execution, and what they get: see `schemas.ts`. */

/** What a person says, as JSON. */
const MAX_MESSAGE_CHARS = 8 * 1024;
const MAX_GRACE_MS = 3_600_000;

export const json = z.json().meta({ id: 'Json', description: 'Any JSON value' });
const timestamp = z.iso.datetime();

const by = z.string().max(200).optional().meta({ description: 'Who' });
const reason = z.string().max(1000).optional().meta({ description: 'Why' });

export const pauseRequest = z.strictObject({ by, reason }).meta({ id: 'PauseRequest' });

const saidData = json
  .optional()
  .refine(
    (data) => JSON.stringify(data ?? null).length <= MAX_MESSAGE_CHARS,
    `must not be longer than ${MAX_MESSAGE_CHARS} characters`,
  );

const turn = z
  .int()
  .min(1)
  .optional()
  .meta({ description: 'Of the question that is meant, as `waiting` has it: an answer to another one is refused' });

export const resumeRequest = z
  .strictObject({ by, reason, data: saidData.meta({ description: 'The answer to a question' }), turn })
  .meta({ id: 'ResumeRequest' });

export const approvalRequest = z
  .strictObject({
    decision: z.string().min(1).max(100).meta({ description: 'One of the options' }),
    by,
    reason,
    data: saidData,
    turn,
  })
  .meta({ id: 'ApprovalRequest' });

export const steerMessage = z
  .strictObject({
    id: z
      .string()
      .regex(/^[\x21-\x7e]{1,128}$/, 'must be 1 to 128 visible ASCII characters')
      .optional()
      .meta({ description: 'Your own; the same one again is no new message. Made when absent' }),
    text: z.string().min(1).max(MAX_MESSAGE_CHARS).optional(),
    data: saidData,
    interrupt: z.boolean().default(false).meta({ description: 'The agent is to hold until it has dealt with this' }),
    if_rev: z
      .int()
      .min(0)
      .optional()
      .meta({ description: "Revision of the agent's context that you have seen; an older one is refused" }),
    from: z.string().max(200).optional().meta({ description: 'Who says it' }),
  })
  .refine(({ text, data }) => (text === undefined) !== (data === undefined), 'needs text or data, and not both')
  .meta({ id: 'SteerMessage' });

const MAX_STEP_CHARS = 64 * 1024;

export const storeStepRequest = z
  .strictObject({
    value: json
      .refine(
        (value) => JSON.stringify(value).length <= MAX_STEP_CHARS,
        `must not be longer than ${MAX_STEP_CHARS} characters`,
      )
      .meta({ description: 'What the step has come to' }),
  })
  .meta({ id: 'StoreStepRequest' });

export const storedStep = z
  .object({
    execution_id: z.string(),
    key: z.string(),
    value: json,
    sequence: z.int().meta({ description: 'Number of the log entry that stored it' }),
  })
  .meta({ id: 'StoredStep' });

export const storedStepList = z.object({ steps: z.array(storedStep) }).meta({ id: 'StoredStepList' });

export const trackedMessage = z
  .object({
    execution_id: z.string(),
    id: z.string(),
    status: z.enum(MESSAGE_STATUSES),
    sequence: z.int().meta({ description: 'Number of the log entry that took it' }),
  })
  .meta({ id: 'TrackedMessage' });

export const messageList = z
  .object({ messages: z.array(trackedMessage) })
  .meta({ id: 'MessageList', description: 'Those that are open, and the newest of the others' });

export const contextDocument = z
  .object({
    rev: z.int(),
    document: json.optional(),
    patches: z
      .array(z.object({ rev: z.int(), sequence: z.int(), at: timestamp, patch: z.array(json) }))
      .optional()
      .meta({ description: 'With since_rev: what has changed since, in order' }),
  })
  .meta({ id: 'ContextDocument' });

export const openWait = z
  .object({
    turn: z.int().meta({ description: 'The turn that the agent has ended with it' }),
    kind: z.enum(WAIT_KINDS),
    text: z.string(),
    options: z.array(z.string()).nullable().meta({ description: 'What an approval may decide' }),
    default: json.meta({ description: 'What counts when nobody answers in time' }),
    since: timestamp,
    expires_at: timestamp.nullable(),
  })
  .meta({ id: 'OpenWait' });

export const cancelRequest = z
  .looseObject({
    reason: z.string().max(1000).optional(),
    grace_ms: z
      .int()
      .min(0)
      .max(MAX_GRACE_MS)
      .optional()
      .meta({ description: 'How long the agent may take to stop by itself; then it is cut off' }),
  })
  .meta({ id: 'CancelRequest' });

export const agentEvent = z
  .looseObject({
    type: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 of A-Z a-z 0-9 . _ -')
      .meta({
        description:
          'progress, step, note, artifact, checkpoint, partial_result, usage, context.patch, steer.applied, steer.rejected, or a name of your own',
      }),
    id: z
      .string()
      .regex(/^[\x21-\x7e]{1,128}$/, 'must be 1 to 128 visible ASCII characters')
      .optional()
      .meta({ description: 'Your own; the same one again says nothing new' }),
  })
  .meta({ id: 'AgentEvent' });

export const agentEventList = z.strictObject({ events: z.array(agentEvent).max(500) });

export const agentEvents = z
  .union([agentEventList, agentEvent])
  .meta({ id: 'AgentEvents', description: 'One event, or up to 500' });
