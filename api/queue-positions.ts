import type { ReadState } from './pending.ts';

/** Who asks in so much time shares an answer. */
const FRESH_MS = 1_000;
const MAX_KEPT = 1_000;

/**
 * Where executions stand in the queue of their agent. The queue is asked for at most once a second and node; without
 * a worker there is no answer.
 * @param readQueue the ids of those that wait for a node, in order
 */
export function createQueuePositions(readQueue: (node: string) => Promise<string[]>) {
  const kept = new Map<string, Promise<string[]>>();

  function queueOf(node: string): Promise<string[]> {
    const known = kept.get(node);
    if (known) return known;
    if (kept.size >= MAX_KEPT) kept.clear();
    const read = readQueue(node).catch(() => []);
    kept.set(node, read);
    setTimeout(() => kept.delete(node), FRESH_MS).unref();
    return read;
  }

  return async ({ permit, target, executionId }: ReadState): Promise<number | undefined> => {
    if (!permit || permit.isGranted) return undefined;
    const place = (await queueOf(target.node)).indexOf(executionId);
    return place === -1 ? undefined : place + 1;
  };
}
