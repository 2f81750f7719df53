import { validateHeaderName, validateHeaderValue } from 'node:http';
import { z } from 'zod';

/** What is asked of webhooks and told of them: see `schemas.ts`. */

const MAX_HEADERS = 20;
const MAX_HEADER_NAME = 256;
const MAX_HEADER_VALUE = 4096;
/** Of all together: they travel sealed beside the result, in a payload that Temporal takes whole or not at all. */
const MAX_HEADERS_BYTES = 16 * 1024;
/** Headers that belong to the connection, to the body or to our signatures. */
const RESERVED_HEADER =
  /^(host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|content-.*|webhook-.*|x-agentfield-.*)$/i;

const webhookUrl = z
  .string()
  .max(2048)
  .refine(isWebhookUrl, 'must be an http or https URL with a host and without credentials');

const webhookHeaders = z.record(z.string(), z.string().max(MAX_HEADER_VALUE)).superRefine((headers, ctx) => {
  const names = Object.keys(headers);
  if (Buffer.byteLength(JSON.stringify(headers)) > MAX_HEADERS_BYTES)
    ctx.addIssue({ code: 'custom', message: `at most ${MAX_HEADERS_BYTES} bytes of names and values` });
  if (names.length > MAX_HEADERS) ctx.addIssue({ code: 'custom', message: `at most ${MAX_HEADERS} headers` });
  for (const name of names.slice(0, MAX_HEADERS)) {
    const flaw = headerFlaw(name, headers[name] ?? '');
    if (flaw) ctx.addIssue({ code: 'custom', path: [name.slice(0, 64)], message: flaw });
  }
});

export const webhookRegistration = z
  .strictObject({
    url: webhookUrl.meta({ description: 'Where the outcome is posted to' }),
    secret: z
      .string()
      .min(1)
      .max(4096)
      .refine(hasKey, 'whsec_ must be followed by base64')
      .optional()
      .meta({ description: 'Signs the webhook; sealed at once, never shown' }),
    headers: webhookHeaders.optional().meta({ description: 'Sent with the webhook; values are sealed at once' }),
  })
  .meta({ id: 'WebhookRegistration' });

export const webhookEvent = z
  .object({
    attempt: z.int(),
    http_status: z.int().nullable(),
    error: z.string().nullable(),
    timestamp: z.iso.datetime().nullable(),
    duration_ms: z.int().nullable(),
  })
  .meta({ id: 'WebhookEvent' });

/** A Standard Webhooks secret whose key is empty would sign with a key that everybody knows. */
function hasKey(secret: string): boolean {
  return !secret.startsWith('whsec_') || /^[A-Za-z0-9+/]{2,}={0,2}$/.test(secret.slice('whsec_'.length));
}

function isWebhookUrl(text: string): boolean {
  // The parser would make a host of what follows in `http:///x`, and drop the empty user of `http://@host`.
  return /^https?:\/\/[^/?#@]+([/?#]|$)/i.test(text) && !/[\s\\]/.test(text) && URL.canParse(text);
}

function headerFlaw(name: string, value: string): string | undefined {
  if (name.length > MAX_HEADER_NAME) return `name is longer than ${MAX_HEADER_NAME}`;
  if (RESERVED_HEADER.test(name)) return 'is set by Perdure or by HTTP itself and cannot be chosen';
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    return undefined;
  } catch {
    return 'is not a valid HTTP header';
  }
}
