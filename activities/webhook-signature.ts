import { createHmac } from 'node:crypto';

const STANDARD_PREFIX = 'whsec_';

/**
 * `X-AgentField-Signature`: hex HMAC-SHA256 of the exact bytes, keyed with the secret string as given.
 */
export function agentFieldSignature(secret: string, body: string): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

/**
 * `webhook-signature` of Standard Webhooks 1.0: `v1,` and the base64 HMAC-SHA256 of `{id}.{timestamp}.{body}`. The
 * key is what follows `whsec_`, base64-decoded; a secret without that prefix is used as its own bytes.
 * @param timestamp seconds since the epoch
 */
export function standardSignature(secret: string, id: string, timestamp: number, body: string): string {
  const key = secret.startsWith(STANDARD_PREFIX) ? Buffer.from(secret.slice(STANDARD_PREFIX.length), 'base64') : secret;
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
}
