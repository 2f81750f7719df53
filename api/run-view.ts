import { formatTarget } from '../workflows/execution.ts';
import type { ExecutionStatus } from '../workflows/execution.ts';
import { EXECUTION_STATUSES } from '../workflows/execution.ts';
import type { RunStatus } from '../workflows/run-contract.ts';
import { endOfRun } from '../runs/tree.ts';
import type { TreePlace } from '../runs/tree.ts';
import { endView, linksOf } from './execution-view.ts';
import type { ReadState } from './pending.ts';
import type { RunNode } from './run-schemas.ts';

/** An execution of a run, and its place in the tree. */
export interface PlacedState {
  place: TreePlace;
  state: ReadState;
}

export function runNodeView({ place, state }: PlacedState): RunNode {
  const { completed_at, duration_ms, error } = endView(state.outcome);
  return {
    execution_id: state.executionId,
    parent_execution_id: place.parentExecutionId ?? null,
    depth: place.depth,
    is_root: place.depth === 0,
    breaks_cycle: place.breaksCycle,
    target: formatTarget(state.target),
    type: state.target.type,
    status: state.status,
    cancelling: !state.outcome && state.isCancelling === true,
    created_at: state.createdAt,
    started_at: state.outcome?.startedAt ?? state.startedAt ?? null,
    completed_at,
    duration_ms,
    error,
    usage: state.usage ? usageView([state]) : null,
    links: { self: linksOf(state.executionId).self },
  };
}

/** All of a run's executions as one. */
export function runSummary(all: PlacedState[]) {
  const states = all.map(({ state }) => state);
  const ends = states.flatMap(({ outcome }) => (outcome ? [outcome] : []));
  const isOver = ends.length === states.length;
  return {
    status: (isOver
      ? endOfRun(all.map(({ place, state }) => ({ depth: place.depth, status: state.status })))
      : 'running') as RunStatus,
    started_at: states.map(({ createdAt }) => createdAt).toSorted()[0] ?? null,
    completed_at: isOver
      ? (ends
          .map(({ completedAt }) => completedAt)
          .toSorted()
          .at(-1) ?? null)
      : null,
    counts: Object.fromEntries(
      EXECUTION_STATUSES.map((status) => [status, states.filter((state) => state.status === status).length]),
    ) as Record<ExecutionStatus, number>,
    totals: {
      duration_ms: ends.reduce((sum, { durationMs }) => sum + durationMs, 0),
      usage: usageView(states),
    },
  };
}

function usageView(states: Pick<ReadState, 'usage'>[]) {
  const sum = (read: (usage: NonNullable<ReadState['usage']>) => number) =>
    states.reduce((total, { usage }) => total + (usage ? read(usage) : 0), 0);
  return {
    input_tokens: sum(({ inputTokens }) => inputTokens),
    output_tokens: sum(({ outputTokens }) => outputTokens),
    cost_usd: sum(({ costUsd }) => costUsd),
  };
}

export function runLinksOf(runId: string) {
  const self = `/api/v1/runs/${encodeURIComponent(runId)}`;
  return { self, events: `${self}/events`, cancel: `${self}/cancel` };
}
