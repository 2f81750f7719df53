/** What API and workers agree on about batches: many submissions in one call. A batch is a run, and its id is the run's. */
import type { ExecuteTargetInput, ExecutionPolicy, SealedWebhook } from './contract.ts';
import type { TerminalStatus } from './execution.ts';

export const BATCH_WORKFLOW = 'runBatch';

export interface BatchItem extends Pick<ExecuteTargetInput, 'target' | 'input' | 'context' | 'timeoutMs' | 'webhook'> {
  /** In the client's list. */
  index: number;
  executionId: string;
}

export interface BatchInput {
  batchId: string;
  rosterId: string;
  /** ISO 8601, by the clock of the API process that accepted it. */
  createdAt: string;
  items: BatchItem[];
  /** How many of them may be open at the same time. */
  maxInFlight: number;
  /** Of each target, `node.name`. */
  policies: Record<string, ExecutionPolicy>;
  webhook?: { registration: SealedWebhook; policy: ExecutionPolicy['webhook'] };
  /** Keyed hash of the request, present when it came with an `Idempotency-Key`. */
  requestMac?: string;
}

/** What a batch has come to. */
export interface BatchSummary {
  total: number;
  counts: Record<TerminalStatus, number>;
  /** The batch was cancelled before their turn came. */
  notStarted: number;
  isCancelled: boolean;
  completedAt: string;
}

export interface BatchActivities {
  /**
   * Starts the items of the batch whose workflow it belongs to, as others end; resolves when all have ended. It hands
   * back from time to time, by failing, and goes on where it was.
   */
  drainBatch: () => Promise<BatchSummary>;
}

/** What the webhook of a batch is sealed for. No execution has such an id. */
export function batchSubject(batchId: string): string {
  return `batch ${batchId}`;
}
