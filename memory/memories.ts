import type { Client, Connection } from '@temporalio/client';
import type { agentMemory } from '../workflows/agent-memory.ts';
import { MEMORY_WORKFLOW, memoryOfWorkflowId, memoryWorkflowId, writeSignal } from '../workflows/memory-contract.ts';
import type { MemoryName, MemoryWrite } from '../workflows/memory-contract.ts';
import { planWrite } from '../workflows/memory-state.ts';
import type { MemoryChange, MemoryState, Written } from '../workflows/memory-state.ts';
import { createMemoryFollower, TooManyFollowed } from './follower.ts';
import type { Followed, FollowerDeps, MemoryFollower, MemoryListener } from './follower.ts';

/** What agents remember, as projections of the histories of the workflows that keep it. */
export interface Memories extends Pick<MemoryFollower, 'onUsed'> {
  /**
   * Undefined: there is no such memory. Needs no worker. Throws when Temporal cannot be reached: what was known may be
   * old then.
   */
  read: (name: MemoryName) => Promise<MemoryState | undefined>;
  /**
   * Resolves when history shows what the write came to. `busy`: it was not sent, no worker has got to what was written
   * before; `unseen`: Temporal has it, and what becomes of it is not known yet.
   */
  write: (name: MemoryName, write: MemoryWrite) => Promise<Written | { kind: 'busy' | 'unseen' }>;
  /**
   * Throws `TooManyFollowed`. Told of every change once it is ready, and of those of before that are wanted and still kept. Not ready, it throws
   * when Temporal cannot be reached; later outages are sat out.
   */
  watch: (name: MemoryName, listener: MemoryListener, isWanted?: Wanted) => MemoryWatch;
  /** Those that are followed here, and others as far as Temporal's visibility knows, the newest first. */
  names: () => Promise<MemoryName[]>;
  close: () => void;
}

export type Wanted = (change: MemoryChange) => boolean;

export interface MemoryWatch {
  ready: Promise<void>;
  /** From then on nothing is told. */
  stop: () => void;
}

export interface MemoryDeps extends Omit<FollowerDeps, 'onWritten'> {
  client: Client;
  maxRunEvents?: number | undefined;
}

const CALL_DEADLINE_MS = 5_000;
const LIST_DEADLINE_MS = 10_000;
const SEE_OWN_WRITE_MS = 5_000;
const FIRST_READ_MS = 5_000;
/** How long is waited for a memory that Temporal was lost for. */
const OUTAGE_GRACE_MS = 2_000;
const MAX_LISTED = 500;

export function createMemories({ client, maxRunEvents, ...deps }: MemoryDeps): Memories {
  const { taskQueue, namespace, connection: following } = deps;
  const { connection } = client as Client & { connection: Connection };
  /** By the id of a write that is under way. */
  const outcomes = new Map<string, (written: Written) => void>();
  const follower = createMemoryFollower({ ...deps, onWritten: (id, written) => outcomes.get(id)?.(written) });

  async function known(one: Followed): Promise<Followed> {
    // Somebody watches it, and it was not there a moment ago.
    if (one.status === 'absent') {
      one.status = 'reading';
      one.lookAgain();
    }
    const isKnown = () => one.status !== 'reading';
    if (!isKnown()) await until(one, isKnown, one.lastError === undefined ? FIRST_READ_MS : OUTAGE_GRACE_MS);
    if (isKnown()) return one;
    throw one.lastError ?? Object.assign(new Error('Temporal does not answer'), { code: 14 });
  }

  async function read(name: MemoryName): Promise<MemoryState | undefined> {
    return (await known(follower.follow(name))).projection?.state();
  }

  async function write(name: MemoryName, message: MemoryWrite): ReturnType<Memories['write']> {
    const { projection } = await known(follower.follow(name));
    const state = projection?.state();
    if (!state && message.action === 'delete') return { kind: 'unchanged' };
    if (state) {
      const planned = planWrite(state, message);
      if (planned.kind === 'refused') return planned;
      if (projection?.isFull()) return { kind: 'busy' };
    }
    const seen = new Promise<Written>((resolve) => outcomes.set(message.id, resolve));
    try {
      await connection.withDeadline(Date.now() + CALL_DEADLINE_MS, () =>
        client.workflow.signalWithStart<typeof agentMemory, [MemoryWrite]>(MEMORY_WORKFLOW, {
          workflowId: memoryWorkflowId(name, taskQueue),
          taskQueue,
          args: [{ ...name, ...(maxRunEvents !== undefined && { maxRunEvents }) }],
          signal: writeSignal,
          signalArgs: [message],
        }),
      );
      return await inTime(follower.follow(name), seen);
    } finally {
      outcomes.delete(message.id);
    }
  }

  return {
    read,
    write,
    onUsed: follower.onUsed,

    watch: (name, { onChange, onGone }, isWanted) => {
      if (!follower.hasRoomFor(name)) throw new TooManyFollowed();
      const one = follower.follow(name);
      /** Held back until what is older was told. */
      let held: MemoryChange[] | undefined = [];
      const listener: MemoryListener = {
        onChange: (change) => (held ? void held.push(change) : onChange(change)),
        ...(onGone && { onGone }),
      };
      one.listeners.add(listener);
      const stop = () => void one.listeners.delete(listener);
      const catchUp = async () => {
        const { projection } = await known(one);
        if (!one.listeners.has(listener)) return;
        const kept = isWanted ? (projection?.state()?.changes ?? []).filter(isWanted) : [];
        const last = kept.at(-1)?.rev ?? 0;
        const news = [...kept, ...(held ?? []).filter(({ rev }) => rev > last)];
        held = undefined;
        for (const change of news) onChange(change);
      };
      const ready = catchUp().catch((err: unknown) => {
        stop();
        throw err;
      });
      return { ready, stop };
    },

    names: async () => {
      const names = new Map(follower.names().map((name) => [memoryWorkflowId(name, taskQueue), name]));
      const query = `WorkflowType="${MEMORY_WORKFLOW}" AND ExecutionStatus="Running" AND TaskQueue="${taskQueue}"`;
      const { executions } = await following.withDeadline(Date.now() + LIST_DEADLINE_MS, () =>
        following.workflowService.listWorkflowExecutions({ namespace, query, pageSize: MAX_LISTED }),
      );
      for (const { execution } of executions ?? []) {
        const name = memoryOfWorkflowId(execution?.workflowId ?? '');
        if (name) names.set(execution?.workflowId ?? '', name);
      }
      return [...names.values()];
    },

    close: follower.close,
  };
}

/** What history shows in time; until then the memory is not dropped. */
async function inTime(one: Followed, seen: Promise<Written>): Promise<Written | { kind: 'unseen' }> {
  const stay = () => undefined;
  one.waiting.add(stay);
  one.lookAgain();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<{ kind: 'unseen' }>((resolve) => {
    timer = setTimeout(() => resolve({ kind: 'unseen' }), SEE_OWN_WRITE_MS);
  });
  try {
    return await Promise.race([seen, late]);
  } finally {
    clearTimeout(timer);
    one.waiting.delete(stay);
  }
}

async function until(one: Followed, isSo: () => boolean, timeoutMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      one.waiting.delete(check);
      resolve();
    };
    const check = () => isSo() && finish();
    const timer = setTimeout(finish, timeoutMs);
    one.waiting.add(check);
  });
}
