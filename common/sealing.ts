import { createCipheriv, createDecipheriv, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/**
 * Seals what must not be readable in history (webhook URLs, secrets, header values) with AES-256-GCM.
 * Format: `v1.<key id>.<nonce>.<ciphertext and tag>`, base64url. Bound to what it is sealed for, an execution's
 * id or a run's, so that a sealed text copied into another one does not open.
 */
export interface Sealer {
  seal: (subject: string, text: string) => string;
  unseal: (subject: string, sealed: string) => string;
  /** Keyed hash: equal for equal texts, and no way to try out guesses without the key. */
  mac: (text: string) => string;
  verifyMac: (text: string, mac: string) => boolean;
}

export class SealingError extends Error {}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_ID = /^[A-Za-z0-9_-]{1,32}$/;

/**
 * @param text `id:base64` of 32 bytes, several separated by commas or newlines. The first seals, all of them open:
 *   put a new key in front to rotate, and keep the old one as long as executions sealed with it are kept: redeliveries
 *   and replays of an Idempotency-Key need it too.
 */
export function parseSecretKeys(text: string): Map<string, Buffer> {
  const keys = new Map<string, Buffer>();
  for (const entry of text.split(/[\s,]+/).filter(Boolean)) {
    const [id = '', base64 = ''] = entry.split(':', 2);
    const key = Buffer.from(base64, 'base64');
    if (!KEY_ID.test(id) || key.length !== KEY_BYTES)
      throw new SealingError(
        `a secret key must read id:base64 of ${KEY_BYTES} bytes (make one: openssl rand -base64 32)`,
      );
    if (keys.has(id)) throw new SealingError(`secret key id ${id} is there twice`);
    keys.set(id, key);
  }
  if (keys.size === 0) throw new SealingError('no secret key is set');
  return keys;
}

export function createSealer(keys: Map<string, Buffer>): Sealer {
  const [first] = keys;
  if (!first) throw new SealingError('no secret key is set');
  const [currentId, currentKey] = first;

  const keyOf = (id: string): Buffer => {
    const key = keys.get(id);
    if (!key) throw new SealingError(`sealed with key ${id}, which this process does not have`);
    return key;
  };
  const macWith = (key: Buffer, text: string): Buffer =>
    createHmac('sha256', createHmac('sha256', key).update('perdure request mac').digest()).update(text).digest();

  return {
    seal: (executionId, text) => {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', currentKey, nonce, { authTagLength: TAG_BYTES });
      cipher.setAAD(Buffer.from(executionId));
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return ['v1', currentId, nonce.toString('base64url'), sealed.toString('base64url')].join('.');
    },
    unseal: (executionId, sealed) => {
      const [version, id = '', nonce = '', body = ''] = sealed.split('.');
      if (version !== 'v1') throw new SealingError('sealed text of an unknown version');
      const bytes = Buffer.from(body, 'base64url');
      if (bytes.length < TAG_BYTES) throw new SealingError('sealed text is cut short');
      const key = keyOf(id);
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(nonce, 'base64url'), {
          authTagLength: TAG_BYTES,
        });
        decipher.setAAD(Buffer.from(executionId));
        decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
        return decipher.update(bytes.subarray(0, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
      } catch {
        throw new SealingError('sealed text was altered, or belongs to another execution');
      }
    },
    mac: (text) => `${currentId}.${macWith(currentKey, text).toString('base64url')}`,
    verifyMac: (text, mac) => {
      const [id = '', digest = ''] = mac.split('.', 2);
      const key = keys.get(id);
      if (!key) return false;
      const expected = macWith(key, text);
      const given = Buffer.from(digest, 'base64url');
      return given.length === expected.length && timingSafeEqual(given, expected);
    },
  };
}
