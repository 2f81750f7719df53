import type { BatchInput } from '../workflows/batch-contract.ts';
import { formatTarget, isTerminal } from '../workflows/execution.ts';
import { ITEM_STATUSES } from './batch-schemas.ts';
import type { BatchView } from './batch-schemas.ts';
import { endView } from './execution-view.ts';
import type { ReadState } from './pending.ts';

/** @param states of its items, undefined where one has not been started */
export function batchViewOf(
  { batchId, items, maxInFlight, createdAt, webhook }: BatchInput,
  states: (ReadState | undefined)[],
  { isShut, from, limit }: { isShut: boolean; from: number; limit: number },
): BatchView {
  const unstarted = isShut ? 'not_started' : 'pending';
  const statuses = states.map((state) => state?.status ?? unstarted);
  const isOver = statuses.every((status) => status === 'not_started' || (status !== 'pending' && isTerminal(status)));
  const isCut = statuses.some((status) => status === 'not_started' || status === 'cancelled');
  const ends = states.flatMap((state) => (state?.outcome ? [state.outcome.completedAt] : []));
  const end = from + limit;
  return {
    batch_id: batchId,
    run_id: batchId,
    status: !isOver ? 'running' : isShut && isCut ? 'cancelled' : 'completed',
    total: items.length,
    counts: Object.fromEntries(
      ITEM_STATUSES.map((wanted) => [wanted, statuses.filter((status) => status === wanted).length]),
    ) as BatchView['counts'],
    max_in_flight: maxInFlight,
    created_at: createdAt,
    completed_at: isOver ? (ends.toSorted().at(-1) ?? createdAt) : null,
    webhook_registered: webhook !== undefined,
    webhook_events: [],
    items: items.slice(from, end).map(({ index, executionId, target }, i) => {
      const { error, duration_ms } = endView(states[from + i]?.outcome);
      const status = statuses[from + i] ?? unstarted;
      return { index, execution_id: executionId, target: formatTarget(target), status, error, duration_ms };
    }),
    next_cursor: end < items.length ? String(end) : null,
    links: batchLinksOf(batchId),
  };
}

export function batchLinksOf(batchId: string) {
  const self = `/api/v1/batches/${batchId}`;
  return { self, run: `/api/v1/runs/${batchId}`, cancel: `${self}/cancel` };
}
