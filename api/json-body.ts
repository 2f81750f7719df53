import type { Context } from 'hono';
import { z } from 'zod';
import { createByteBuffer } from '../common/byte-buffer.ts';
import { findJsonFlaw } from '../common/json.ts';
import { ApiError } from './errors.ts';
import type { Flaw } from './errors.ts';

const MAX_FLAWS = 20;

/** Set by the app for every request; see `readBytes`. */
export const MAX_BODY_BYTES = 'maxBodyBytes';

/**
 * Reads a request body as JSON, whatever its `Content-Type` says (so does AgentField), and checks it.
 * @param options.empty what an empty body stands for; without it an empty body is refused
 */
export async function jsonBody<T extends z.ZodType>(
  c: Context,
  schema: T,
  options: { empty?: unknown } = {},
): Promise<z.infer<T>> {
  return check(schema, await readJson(c, options), { root: '$', noun: 'field' });
}

/** The query parameters of a request, checked as a body is. */
export function queryOf<T extends z.ZodType>(c: Context, schema: T): z.infer<T> {
  return check(schema, c.req.query(), { root: '', noun: 'parameter' });
}

/** A query parameter that is a whole number. */
export function numberParameter(min: number, max: number) {
  const message = `must be a number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,9}$/, message)
    .transform(Number)
    .refine((value) => value >= min && value <= max, message);
}

/**
 * The parsed body.
 * @param options.asIs takes what clients may not send (deep nesting, NUL, `__proto__`): for what agents report
 */
export async function readJson(c: Context, { empty, asIs = false }: { empty?: unknown; asIs?: boolean } = {}) {
  const text = decodeUtf8(await readBytes(c));
  if (text.trim() === '' && empty !== undefined) return empty;
  return parseJson(text, { asIs });
}

/** Throws what a body that is not JSON, or that clients may not send, is refused with. */
export function parseJson(text: string, { asIs = false } = {}): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // V8's own message would quote the body, and with it secrets.
    throw new ApiError(
      'malformed_json',
      text.trim() === '' ? 'the body is empty, JSON is needed' : 'the body is not JSON',
    );
  }
  const flaw = asIs ? undefined : findJsonFlaw(value, { text: true });
  if (flaw) throw invalid([{ path: flaw.path, message: flaw.flaw }]);
  return value;
}

export function invalid(errors: Flaw[]): ApiError {
  const shown = errors.slice(0, MAX_FLAWS);
  return new ApiError('invalid_request', shown.map(({ path, message }) => `${path}: ${message}`).join('; '), {
    errors: shown,
  });
}

/** Reads the body up to the limit, whether its length was announced or it comes in chunks. */
export async function readBytes(c: Context): Promise<Uint8Array> {
  const maxBytes = c.get(MAX_BODY_BYTES) as number;
  const tooLarge = () => new ApiError('body_too_large', `the body is larger than ${maxBytes} bytes`);
  if (Number(c.req.header('Content-Length') ?? 0) > maxBytes) throw tooLarge();
  const read = createByteBuffer(maxBytes);
  try {
    for await (const chunk of (c.req.raw.body ?? []) as AsyncIterable<Uint8Array>)
      if (!read.add(chunk)) throw tooLarge();
  } catch (err) {
    if (err instanceof ApiError) throw err;
    throw new ApiError('malformed_request', 'the body broke off before its end');
  }
  return read.bytes();
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ApiError('malformed_json', 'the body is not UTF-8');
  }
}

/** How flaws of a body or a query are told: where their paths begin, and what a member of it is called. */
interface Place {
  root: string;
  noun: string;
}

export function check<T extends z.ZodType>(schema: T, value: unknown, place: Place): z.infer<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalid(parsed.error.issues.flatMap((issue) => flawsOf(issue, topLevelNames(schema), place)));
}

/** zod's messages name types and limits, never the values they refuse. */
function flawsOf(issue: z.core.$ZodIssue, known: string[], { root, noun }: Place): Flaw[] {
  const parts = issue.path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part).slice(0, 64)}`));
  const pathOf = (...more: string[]) => [root, ...parts, ...more].join('').replace(/^\./, '');
  if (issue.code !== 'unrecognized_keys') return [{ path: pathOf(), message: issue.message }];
  return issue.keys.map((key) => {
    const name = key.slice(0, 64);
    const near = issue.path.length === 0 ? nearest(name, known) : undefined;
    return { path: pathOf(`.${name}`), message: `unknown ${noun}${near ? `, did you mean "${near}"?` : ''}` };
  });
}

function topLevelNames(schema: z.ZodType): string[] {
  return 'shape' in schema ? Object.keys(schema.shape as object) : [];
}

/** The known name within two typing errors. */
function nearest(name: string, known: string[]): string | undefined {
  const [best] = known
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate) }))
    .sort((a, b) => a.distance - b.distance);
  return best && best.distance <= Math.max(2, best.candidate.length / 3) ? best.candidate : undefined;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
