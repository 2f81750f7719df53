import {
  ActivityCancellationType,
  CancellationScope,
  condition,
  continueAsNew,
  proxyActivities,
  setDefaultSignalHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { Holder } from './contract.ts';
import { formatTarget } from './execution.ts';
import type { AgentNodeInput, NodeActivities } from './node-contract.ts';
import { emptyNode, foldNode, instanceOf, isThere, nodeEntryOf } from './node-state.ts';
import type { NodeInstance, NodeState } from './node-state.ts';

/** Stands for "no limit" where Temporal wants a number. */
const UNLIMITED_MS = 10 * 365 * 24 * 3_600_000;
const MAX_RUN_EVENTS = 1_000;
/** A node that nobody has served for so long is forgotten. */
const FORGET_AFTER_MS = 7 * 24 * 3_600_000;
const PROBE_LIMIT_MS = 15_000;
const HAND_OVER_LIMIT_MS = 10 * 60_000;
/** An execution that began just before is found only by a later look: Temporal's visibility lags. */
const LOOK_AGAIN_MS = 10_000;

const { probeInstance } = proxyActivities<NodeActivities>({
  startToCloseTimeout: PROBE_LIMIT_MS,
  retry: { initialInterval: 1_000, maximumInterval: 10_000 },
});
const { handOver } = proxyActivities<NodeActivities>({
  startToCloseTimeout: HAND_OVER_LIMIT_MS,
  heartbeatTimeout: 60_000,
  retry: { initialInterval: 1_000, maximumInterval: 30_000 },
});

/**
 * One agent node: the processes that serve it, each under a lease. A lease is an activity that the API heartbeats
 * whenever it hears of the process, which costs no history; when Temporal misses those heartbeats the process is
 * asked after, and what it had in hand goes to another one if nobody answers there.
 */
export async function agentNode({ node, state = emptyNode(node) }: AgentNodeInput): Promise<void> {
  let changes = 0;
  /** Work that must not be cut off by the end of the run. */
  let busy = 0;
  const finish = async <T>(work: () => Promise<T>): Promise<T> => {
    busy += 1;
    return CancellationScope.nonCancellable(work).finally(() => {
      busy -= 1;
      changes += 1;
    });
  };

  setDefaultSignalHandler((name, message) => {
    const entry = nodeEntryOf(name, message);
    const before =
      entry?.kind === 'register' && entry.registration.isFresh && instanceOf(state, entry.registration.instanceId);
    if (before && isThere(before)) {
      const { instanceId, registrations } = before;
      void finish(() => tellExecutions(state, { instanceId, registrations }));
    }
    if (entry) foldNode(state, entry);
    changes += 1;
  });
  const watched = new Map<string, CancellationScope>();
  const told = new Set(state.instances.filter((one) => !isThere(one)).map(({ instanceId }) => instanceId));
  function attend(): void {
    for (const instance of state.instances) {
      const { instanceId } = instance;
      if (isThere(instance)) {
        told.delete(instanceId);
        if (!watched.has(instanceId)) watch(instanceId);
        continue;
      }
      watched.get(instanceId)?.cancel();
      if (told.has(instanceId)) continue;
      told.add(instanceId);
      void finish(() => tellExecutions(state, { instanceId, registrations: instance.registrations }));
    }
  }

  function watch(instanceId: string): void {
    const scope = new CancellationScope();
    watched.set(instanceId, scope);
    const over = () => {
      watched.delete(instanceId);
      changes += 1;
    };
    scope.run(() => keepLease(state, instanceId, finish)).then(over, over);
  }

  for (;;) {
    attend();
    const isServed = state.instances.some(isThere);
    if (busy === 0 && workflowInfo().historyLength >= MAX_RUN_EVENTS)
      return continueAsNew<typeof agentNode>({ node, state });
    const seen = changes;
    const hasChanged = () => changes !== seen;
    if (isServed || busy > 0) await condition(hasChanged);
    else if (!(await condition(hasChanged, FORGET_AFTER_MS))) return;
  }
}

/** Holds the lease of an instance until it is lost, and asks after it whenever that runs out. */
async function keepLease(
  state: NodeState,
  instanceId: string,
  finish: (work: () => Promise<void>) => Promise<void>,
): Promise<void> {
  for (;;) {
    const instance = instanceOf(state, instanceId);
    if (!instance || !isThere(instance)) return;
    await untilLeaseIsOver(state.node, instance);
    await finish(async () => {
      const { baseUrl, registrations } = instanceOf(state, instanceId) ?? instance;
      const result = await probeInstance({ instanceId, baseUrl, registrations });
      foldNode(state, { kind: 'probed', result });
    });
  }
}

/** Throws when it is cancelled, for its instance is gone. */
async function untilLeaseIsOver(node: string, { instanceId, leaseMs }: NodeInstance): Promise<void> {
  const { holdLease } = proxyActivities<NodeActivities>({
    startToCloseTimeout: UNLIMITED_MS,
    heartbeatTimeout: leaseMs,
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    retry: { maximumAttempts: 1 },
  });
  await holdLease({ node, instanceId }).catch((err: unknown) => {
    if (CancellationScope.current().consideredCancelled) throw err;
  });
}

async function tellExecutions({ node, reasoners, skills }: NodeState, holder: Holder): Promise<void> {
  const targets = [...reasoners, ...skills].map(({ name }) => formatTarget({ node, name, type: 'reasoner' }));
  if (targets.length === 0) return;
  await handOver({ targets, holder });
  await sleep(LOOK_AGAIN_MS);
  await handOver({ targets, holder });
}
