import { condition, proxyActivities, setHandler } from '@temporalio/workflow';
import { cancelRunSignal } from './run-contract.ts';
import type { CancelRunInput, RunActivities, RunCancelRequest } from './run-contract.ts';

/**
 * Who has joined before the run was shut may not have been started then, and who did not join at all is found only
 * when Temporal's visibility has caught up: so it is looked again, each time after so long.
 */
const LOOK_AGAIN_MS = [1_000, 10_000, 10_000];
const CANCEL_LIMIT_MS = 10 * 60_000;
const HEARTBEAT_MS = 30_000;

const { cancelExecutions } = proxyActivities<RunActivities>({
  startToCloseTimeout: CANCEL_LIMIT_MS,
  heartbeatTimeout: HEARTBEAT_MS,
  retry: { initialInterval: 1_000, maximumInterval: 10_000 },
});

/**
 * Cancels all executions of a run. Asked again while it does, it asks the executions again: their grace may be over
 * sooner.
 */
export async function cancelRun(input: CancelRunInput): Promise<void> {
  const asked: RunCancelRequest[] = [];
  setHandler(cancelRunSignal, (request) => {
    asked.push(request);
  });
  let reason: string | undefined;
  let graceMs: number | undefined;
  let pauses: number[] = [];
  for (;;) {
    const requests = asked.splice(0);
    if (requests.length > 0) pauses = [...LOOK_AGAIN_MS];
    for (const request of requests) {
      reason ??= request.reason;
      if (request.graceMs !== undefined) graceMs = Math.min(request.graceMs, graceMs ?? Infinity);
    }
    await cancelExecutions({
      ...input,
      requestIds: requests.map(({ requestId }) => requestId),
      ...(reason !== undefined && { reason }),
      ...(graceMs !== undefined && { graceMs }),
    });
    if (asked.length > 0) continue;
    const pauseMs = pauses.shift();
    if (pauseMs === undefined) return;
    await condition(() => asked.length > 0, pauseMs);
  }
}
