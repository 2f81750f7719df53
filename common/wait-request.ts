import { z } from 'zod';
import { WAIT_KINDS } from '../workflows/execution.ts';
import type { WaitRequest } from '../workflows/execution.ts';

const MAX_EXPIRY_MS = 365 * 24 * 3_600_000;
const MAX_DEFAULT_CHARS = 4096;
/** What an approval may decide when its agent does not say. */
const OPTIONS = ['approve', 'reject'];

/** With what an agent ends its turn: what it wants to know from a person before it goes on. */
export const waitRequest = z
  .strictObject({
    kind: z.enum(WAIT_KINDS),
    text: z.string().min(1).max(4000).meta({ description: 'What a person is asked' }),
    options: z
      .array(z.string().min(1).max(100))
      .min(1)
      .max(20)
      .optional()
      .meta({ description: 'Of an approval: what it may decide. Missing means approve and reject' }),
    expires_in_ms: z
      .int()
      .min(1)
      .max(MAX_EXPIRY_MS)
      .optional()
      .meta({ description: 'Missing means as long as the execution may take' }),
    default: z
      .json()
      .optional()
      .meta({ description: 'What counts when nobody answers in time. Missing means that the execution ends' }),
  })
  .superRefine(({ kind, options = OPTIONS, default: answer }, ctx) => {
    const flaw = (path: string, message: string) => ctx.addIssue({ code: 'custom', path: [path], message });
    if (kind === 'approval' && answer !== undefined && answer !== null && !options.includes(answer as string))
      flaw('default', 'must be one of the options');
    if (JSON.stringify(answer ?? null).length > MAX_DEFAULT_CHARS)
      flaw('default', `must not be longer than ${MAX_DEFAULT_CHARS} characters`);
  })
  .meta({ id: 'WaitRequest' });

export type ReadWait = { wait: WaitRequest } | { flaw: { path: string; message: string } };

export function readWaitRequest(fields: unknown): ReadWait {
  const read = waitRequest.safeParse(fields);
  if (!read.success) {
    const [issue] = read.error.issues;
    const path = (issue?.path ?? []).map((part) => `.${String(part)}`).join('');
    return { flaw: { path, message: issue?.message ?? 'cannot be read' } };
  }
  const { kind, text, options, expires_in_ms, default: defaultAnswer } = read.data;
  return {
    wait: {
      kind,
      text,
      ...(kind === 'approval' && { options: options ?? OPTIONS }),
      ...(expires_in_ms !== undefined && { expiresInMs: expires_in_ms }),
      ...(defaultAnswer !== undefined && defaultAnswer !== null && { defaultAnswer }),
    },
  };
}
