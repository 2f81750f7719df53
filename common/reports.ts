import { z } from 'zod';
import { OPEN_STATUSES, STEP_KINDS } from '../workflows/execution.ts';
import type { AgentReport, Json, JsonObject } from '../workflows/execution.ts';
import { MAX_PATCH_OPERATIONS } from '../workflows/json-patch.ts';
import { clip } from './clip.ts';
import { firstFlaw } from './flaw.ts';
import type { Flaw } from './flaw.ts';
import { findJsonFlaw } from './json.ts';

/** What an agent can say while it works: the vocabulary of its streamed frames and of its callbacks. */

/** Of one event, as JSON. Larger ones name a place where the rest can be had. */
export const MAX_EVENT_BYTES = 64 * 1024;
export const MAX_STEP_DATA_BYTES = 16 * 1024;
const MAX_NAME = 64;
const MAX_TEXT = 1000;

export interface ReadReport {
  report: AgentReport;
  /** Why it could not be read as what it says it is; it is then kept as `other`. */
  flaw?: Flaw;
}

const amount = z.number().min(0).max(1e15).optional();
const boundedData = z
  .json()
  .refine((data) => sizeOf(data) <= MAX_STEP_DATA_BYTES, `must not be larger than ${MAX_STEP_DATA_BYTES} bytes`)
  .optional();

const pointer = z.string().max(1000);
const patchOperation = z.union([
  z.object({ op: z.enum(['add', 'replace', 'test']), path: pointer, value: z.json() }),
  z.object({ op: z.literal('remove'), path: pointer }),
  z.object({ op: z.enum(['move', 'copy']), from: pointer, path: pointer }),
]);
/** What became of a message, by its id. */
const receipt = z.object({ message_id: z.string().max(128) });

const KINDS = {
  step: z.object({
    kind: z.enum(STEP_KINDS),
    name: z.string().max(200).optional(),
    summary: z.string().max(2000).optional(),
    data: boundedData,
  }),
  note: z.object({ text: z.string().max(4000), tags: z.array(z.string().max(100)).max(20).optional() }),
  artifact: z
    .object({
      name: z.string().min(1).max(200),
      media_type: z.string().min(1).max(200),
      content: z.json().optional(),
      url: z
        .url({ protocol: /^https?$/ })
        .max(2048)
        .optional(),
    })
    .refine(
      ({ content, url }) => (content === undefined) !== (url === undefined),
      'needs content or url, and not both',
    ),
  checkpoint: z.object({ data: z.json() }),
  partial_result: z.object({ data: z.json() }),
  'context.patch': z.object({
    patch: z.array(patchOperation).min(1).max(MAX_PATCH_OPERATIONS),
    rev: z.int().min(1).optional(),
  }),
  'steer.delivered': receipt,
  'steer.applied': receipt.extend({ step: z.string().max(200).optional() }),
  'steer.rejected': receipt.extend({ reason: z.string().max(MAX_TEXT) }),
  'steer.superseded': receipt,
  usage: z.object({
    input_tokens: amount,
    output_tokens: amount,
    cost_usd: amount,
    model: z.string().max(200).optional(),
  }),
} as const satisfies Record<string, z.ZodType>;

const progressFields = z.object({
  status: z.enum(OPEN_STATUSES).optional().catch(undefined),
  current_action: z.string().max(MAX_TEXT).optional().catch(undefined),
  progress_pct: z.number().min(0).max(100).optional().catch(undefined),
  estimated_completion: z.iso.datetime({ offset: true }).optional().catch(undefined),
});

/** @param name what the agent calls it; what is not of the vocabulary is kept and passed on under that name */
export function readReport(name: string, fields: JsonObject): ReadReport {
  const { type: _, ...data } = fields;
  if (name === 'progress') return { report: progressReport(data) };
  const bytes = sizeOf(data);
  if (bytes > MAX_EVENT_BYTES)
    return {
      report: other(name, { cut: true, bytes }),
      flaw: { path: '', message: `must not be larger than ${MAX_EVENT_BYTES} bytes` },
    };
  const flaw = findJsonFlaw(data, { text: false });
  if (flaw)
    return { report: other(name, { cut: true, bytes }), flaw: { path: flaw.path.slice(1), message: flaw.flaw } };
  const schema = Object.hasOwn(KINDS, name) ? KINDS[name as keyof typeof KINDS] : undefined;
  if (!schema) return { report: { type: 'other', name: clip(name, MAX_NAME), data } };
  const read = schema.safeParse(data);
  if (read.success) return { report: { type: 'other', name, data: read.data as JsonObject } };
  return { report: other(name, data), flaw: firstFlaw(read.error) };
}

/** What an agent says of its progress; fields that make no sense are left out, the others count. */
export function progressReport(fields: unknown): AgentReport {
  const read = progressFields.safeParse(fields);
  const { status, current_action, progress_pct, estimated_completion } = read.success ? read.data : {};
  return {
    type: 'progress',
    ...(status !== undefined && { status }),
    ...(current_action !== undefined && { currentAction: current_action }),
    ...(progress_pct !== undefined && { progressPct: progress_pct }),
    ...(estimated_completion !== undefined && { estimatedCompletion: estimated_completion }),
  };
}

/** Something that is not what it says it is. */
export function other(name: string, data: JsonObject): AgentReport {
  return { type: 'other', name: 'other', data: { name: clip(name, MAX_NAME), data } };
}

function sizeOf(value: Json | undefined): number {
  return Buffer.byteLength(JSON.stringify(value ?? null));
}
