import type { Context } from 'hono';
import type { ExecutionContext } from '../workflows/contract.ts';
import { ApiError } from './errors.ts';
import { runIdOfRoot } from '../workflows/run-contract.ts';
import { RUN_ID } from './ids.ts';

/** Identifiers that travel on in headers, search attributes and JSON. */
const IDENTIFIER = /^[\x21-\x7e]{1,200}$/;
const MAX_IDEMPOTENCY_KEY = 255;

/** Who called, in AgentField's headers. Absent and empty are the same; without a run id the execution is its root. */
export function executionContext(c: Context, executionId: string): ExecutionContext & { isJoining: boolean } {
  const runId = runIdOf(c);
  const parentExecutionId = identifier(c, 'X-Parent-Execution-ID');
  const sessionId = identifier(c, 'X-Session-ID');
  const actorId = identifier(c, 'X-Actor-ID');
  return {
    runId: runId ?? runIdOfRoot(executionId),
    isJoining: runId !== undefined,
    ...(parentExecutionId !== undefined && { parentExecutionId }),
    ...(sessionId !== undefined && { sessionId }),
    ...(actorId !== undefined && { actorId }),
  };
}

/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): a quoted string by the draft, a bare one as
 * most clients send it.
 */
export function idempotencyKey(c: Context): string | undefined {
  const header = c.req.header('Idempotency-Key');
  if (header === undefined) return undefined;
  const key = /^"(.*)"$/.exec(header.trim())?.[1] ?? header.trim();
  if (key.length >= 1 && key.length <= MAX_IDEMPOTENCY_KEY) return key;
  throw new ApiError('invalid_header', `Idempotency-Key must have 1 to ${MAX_IDEMPOTENCY_KEY} characters`);
}

/** What no list could be asked for would be lost. */
function runIdOf(c: Context): string | undefined {
  const runId = identifier(c, 'X-Run-ID');
  if (runId === undefined || RUN_ID.test(runId)) return runId;
  throw new ApiError('invalid_header', 'X-Run-ID must not contain quotes (") or backslashes');
}

export function identifier(c: Context, name: string): string | undefined {
  const value = c.req.header(name)?.trim();
  if (value === undefined || value === '') return undefined;
  if (IDENTIFIER.test(value)) return value;
  throw new ApiError('invalid_header', `${name} must be 1 to 200 visible ASCII characters`);
}

export interface Preference {
  respondAsync: boolean;
  waitS: number | undefined;
}

/** `Prefer` (RFC 7240): `respond-async` and `wait=<seconds>`; what is not understood is ignored. */
export function preference(c: Context): Preference {
  const read: Preference = { respondAsync: false, waitS: undefined };
  for (const preferred of (c.req.header('Prefer') ?? '').split(',')) {
    // What follows a semicolon are parameters of the preference before it, and ours take none.
    const [withoutParameters = ''] = preferred.split(';', 1);
    const [name = '', value = ''] = withoutParameters.split('=', 2).map((text) => text.trim().toLowerCase());
    if (name === 'respond-async' && value === '') read.respondAsync = true;
    if (name === 'wait' && /^"?\d{1,15}"?$/.test(value)) read.waitS ??= Number(value.replaceAll('"', ''));
  }
  return read;
}
