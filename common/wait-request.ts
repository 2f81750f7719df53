import { z } from 'zod';
import { firstFlaw } from './flaw.ts';
import type { Flaw } from './flaw.ts';
import { readReport } from './reports.ts';
import { WAIT_KINDS } from '../workflows/execution.ts';
import type { Json, WaitRequest } from '../workflows/execution.ts';

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

export type ReadWait = { wait: WaitRequest } | { flaw: Flaw };

function readWaitRequest(fields: unknown): ReadWait {
  const read = waitRequest.safeParse(fields);
  if (!read.success) return { flaw: firstFlaw(read.error) };
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

/** How an agent ends a turn: with a question, and maybe a checkpoint. The path of a flaw begins with whose it is. */
export function readEndOfTurn(waiting: unknown, checkpoint: Json | undefined): ReadWait {
  const read = readWaitRequest(waiting);
  if ('flaw' in read) return { flaw: { ...read.flaw, path: `waiting${read.flaw.path}` } };
  const flaw = checkpoint === undefined ? undefined : readReport('checkpoint', { data: checkpoint }).flaw;
  return flaw ? { flaw: { ...flaw, path: `checkpoint${flaw.path}` } } : read;
}
