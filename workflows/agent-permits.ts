import {
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  proxyActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { permitGrantedSignal, permitQueueQuery, releasePermitSignal, requestPermitSignal } from './permit-contract.ts';
import type { PermitActivities, PermitRequest, PermitsState } from './permit-contract.ts';

const MAX_RUN_EVENTS = 2_000;
/** While somebody waits, those who have one are asked after now and then: one that was terminated says nothing. */
const ASK_AFTER_MS = 30_000;
/** Nobody has one and nobody wants one: the next request begins it again. */
const IDLE_MS = 60_000;

const { findEnded } = proxyActivities<Pick<PermitActivities, 'findEnded'>>({
  startToCloseTimeout: 60_000,
  retry: { maximumInterval: 30_000 },
});

/** Hands out the permits of one agent node: by priority, and first come, first served within one. */
export async function agentPermits(state: PermitsState): Promise<void> {
  let changes = 0;
  setHandler(requestPermitSignal, (request) => {
    enqueue(state, request);
    changes += 1;
  });
  setHandler(releasePermitSignal, ({ executionId }) => {
    drop(state, executionId);
    changes += 1;
  });
  setHandler(permitQueueQuery, () => state.waiting.map(({ executionId }) => executionId));

  for (;;) {
    for (let next = nextOf(state); next; next = nextOf(state)) await grant(state, next);
    if (workflowInfo().historyLength >= MAX_RUN_EVENTS) return continueAsNew<typeof agentPermits>(state);
    const seen = changes;
    const hasChanged = () => changes !== seen;
    const isIdle = state.held.length === 0 && state.waiting.length === 0;
    if (await condition(hasChanged, isIdle ? IDLE_MS : ASK_AFTER_MS)) continue;
    if (isIdle) return;
    if (state.waiting.length === 0) continue;
    for (const executionId of await findEnded(state.held.map((one) => one.executionId))) drop(state, executionId);
  }
}

function enqueue(state: PermitsState, request: PermitRequest): void {
  const isKnown = [...state.held, ...state.waiting].some(({ executionId }) => executionId === request.executionId);
  if (isKnown) return;
  const before = state.waiting.findIndex(({ priority }) => priority > request.priority);
  state.waiting.splice(before === -1 ? state.waiting.length : before, 0, request);
}

function drop(state: PermitsState, executionId: string): void {
  state.held = state.held.filter((one) => one.executionId !== executionId);
  state.waiting = state.waiting.filter((one) => one.executionId !== executionId);
}

/** The first one whose target has room. */
function nextOf({ held, waiting }: PermitsState): PermitRequest | undefined {
  const ofTarget = new Map<string, number>();
  for (const { target } of held) ofTarget.set(target, (ofTarget.get(target) ?? 0) + 1);
  return waiting.find(
    ({ target, limits }) =>
      held.length < (limits.node ?? Infinity) && (ofTarget.get(target) ?? 0) < (limits.target ?? Infinity),
  );
}

async function grant(state: PermitsState, { executionId, target }: PermitRequest): Promise<void> {
  drop(state, executionId);
  state.held.push({ executionId, target });
  try {
    await getExternalWorkflowHandle(executionId).signal(permitGrantedSignal);
  } catch {
    // It has ended in the meantime.
    drop(state, executionId);
  }
}
