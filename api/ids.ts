import { createHash, randomBytes } from 'node:crypto';

const EXECUTION_ID = /^exec_[A-Za-z0-9_-]{8,64}$/;
/** What can be asked of Temporal's visibility: visible ASCII characters but `"` and `\`. */
export const RUN_ID = /^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/;

/** `exec_` and 128 random bits. */
export function newExecutionId(): string {
  return `exec_${randomBytes(16).toString('hex')}`;
}

/** The same key names the same execution, for as long as Temporal keeps it. */
export function executionIdOfKey(idempotencyKey: string): string {
  return `exec_${createHash('sha256').update(`idempotency key ${idempotencyKey}`).digest('hex').slice(0, 32)}`;
}

/** Of a batch; the same key names the same one. */
export function batchIdOf(idempotencyKey: string | undefined): string {
  if (idempotencyKey === undefined) return `batch_${randomBytes(16).toString('hex')}`;
  return `batch_${createHash('sha256').update(`batch key ${idempotencyKey}`).digest('hex').slice(0, 32)}`;
}

/** Made of the batch, so that whoever starts an item again starts the same execution. */
export function executionIdOfItem(batchId: string, index: number): string {
  return `exec_${createHash('sha256').update(`item ${index} of ${batchId}`).digest('hex').slice(0, 32)}`;
}

export function isBatchId(text: string): boolean {
  return /^batch_[0-9a-f]{32}$/.test(text);
}

export function isExecutionId(text: string): boolean {
  return EXECUTION_ID.test(text);
}
