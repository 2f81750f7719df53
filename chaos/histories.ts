import { Connection } from '@temporalio/client';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import { canonical } from './ledger.ts';
import type { Outcome } from './ledger.ts';

/**
 * What Temporal itself has, read past everything of Perdure's: no projection, no converter, and not through the
 * proxies. Of its shape no more is taken for granted than what operators see: how a workflow closes.
 */
export interface Histories {
  /** How the execution closed; undefined while it is open, `missing` if there is no such workflow. */
  closeOf: (id: string) => Promise<{ close: Outcome | undefined; text: string; story: string } | 'missing'>;
  /** Whether this outcome stands anywhere in the history. Throws where the history cannot be read. */
  holdsOutcome: (id: string, told: { status: unknown; completed_at: unknown }) => Promise<boolean>;
  /** Every execution there is. */
  ids: () => AsyncIterable<string>;
  /** The history of its newest run, for a replay. */
  historyOf: (id: string) => Promise<History>;
  /** The number in the input of an execution. */
  numberOf: (id: string) => Promise<number>;
  /** Something trivial, to see how long it takes. */
  ping: () => Promise<unknown>;
  isPolledBy: (taskQueue: string, pid: number) => Promise<boolean>;
  close: () => Promise<void>;
}

type Event = Awaited<ReturnType<typeof readEvents>>[number];

const NAMESPACE = 'default';
const READ_DEADLINE_MS = 10_000;
const STRONG_READ_DEADLINE_MS = 1_000;
const ACTIVITY_QUEUE = 2;

export function openHistories(address: string): Histories {
  const connection = Connection.lazy({
    address,
    channelArgs: { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 500 },
  });
  return {
    closeOf: async (id) => {
      let events: Event[];
      try {
        events = await readEvents(connection, id, READ_DEADLINE_MS);
      } catch (err) {
        if ((err as { code?: number }).code === 5) return 'missing';
        throw err;
      }
      return { close: closeIn(events), text: readable(events), story: storyOf(events) };
    },

    holdsOutcome: async (id, told) => {
      const events = await readEvents(connection, id, STRONG_READ_DEADLINE_MS);
      return payloadsIn(events).some((value) => holds(value, told));
    },

    async *ids() {
      let nextPageToken: Uint8Array | undefined;
      do {
        const page = await connection.workflowService.listWorkflowExecutions({
          namespace: NAMESPACE,
          pageSize: 500,
          query: "WorkflowType = 'executeTarget'",
          ...(nextPageToken && { nextPageToken }),
        });
        for (const { execution } of page.executions ?? []) yield execution?.workflowId ?? '';
        nextPageToken = page.nextPageToken ?? undefined;
      } while (nextPageToken && nextPageToken.length > 0);
    },

    historyOf: async (id) => ({ events: await readEvents(connection, id, READ_DEADLINE_MS) }),

    numberOf: async (id) => {
      const [started] = await readEvents(connection, id, READ_DEADLINE_MS, 1);
      const values = payloadsIn(started?.workflowExecutionStartedEventAttributes?.input) as {
        input?: { n?: unknown };
      }[];
      return Number(values[0]?.input?.n ?? -1);
    },

    ping: () =>
      connection.withDeadline(Date.now() + READ_DEADLINE_MS, () =>
        connection.workflowService.describeNamespace({ namespace: NAMESPACE }),
      ),

    isPolledBy: async (taskQueue, pid) => {
      const { pollers } = await connection.withDeadline(Date.now() + 2_000, () =>
        connection.workflowService.describeTaskQueue({
          namespace: NAMESPACE,
          taskQueue: { name: taskQueue },
          taskQueueType: ACTIVITY_QUEUE,
        }),
      );
      return (pollers ?? []).some(({ identity }) => identity?.startsWith(`${pid}@`));
    },

    close: () => connection.close(),
  };
}

/** The newest run, whole: the page size is above what an execution of this harness can have. */
async function readEvents(connection: Connection, id: string, deadlineMs: number, maximumPageSize = 1_000) {
  const { history } = await connection.withDeadline(Date.now() + deadlineMs, () =>
    connection.workflowService.getWorkflowExecutionHistory({
      namespace: NAMESPACE,
      execution: { workflowId: id },
      maximumPageSize,
    }),
  );
  return history?.events ?? [];
}

function closeIn(events: Event[]): Outcome | undefined {
  const last = events.at(-1);
  if (!last) return undefined;
  if (last.workflowExecutionCompletedEventAttributes) {
    const [result] = payloadsIn([last]) as [{ status?: string; result?: unknown }?];
    return { status: String(result?.status), result: canonical(result?.result ?? null) };
  }
  if (last.workflowExecutionCanceledEventAttributes) return { status: 'cancelled' };
  if (last.workflowExecutionTerminatedEventAttributes) return { status: 'terminated' };
  if (last.workflowExecutionTimedOutEventAttributes) return { status: 'timed out by Temporal' };
  const { failure } = last.workflowExecutionFailedEventAttributes ?? {};
  if (!failure) return undefined;
  const type = failure.applicationFailureInfo?.type ?? '';
  return { status: STATUS_OF_FAILURE[type] ?? `failed as ${type}`, error: failure.message ?? '' };
}

const STATUS_OF_FAILURE: Record<string, string> = {
  ExecutionFailed: 'failed',
  ExecutionTimeout: 'timeout',
  ExecutionCancelled: 'cancelled',
};

/** Every JSON payload in these events, wherever it stands. */
function payloadsIn(part: unknown): unknown[] {
  if (typeof part !== 'object' || part === null) return [];
  if (part instanceof Uint8Array) return [];
  const { data, metadata } = part as { data?: unknown; metadata?: unknown };
  if (data instanceof Uint8Array && metadata !== undefined) return [parse(Buffer.from(data).toString('utf8'))];
  return Object.values(part).flatMap(payloadsIn);
}

function holds(value: unknown, told: { status: unknown; completed_at: unknown }): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { status, completedAt } = value as { status?: unknown; completedAt?: unknown };
  if (status === told.status && completedAt === told.completed_at) return true;
  return Object.values(value).some((part) => holds(part, told));
}

/** What has happened, in short, for whoever wants to know why it is still open. */
function storyOf(events: Event[]): string {
  return events
    .map((event) => {
      const [name, attributes] =
        Object.entries(event).find(([key, value]) => key.endsWith('EventAttributes') && value !== null) ?? [];
      const { signalName, activityType, failure } = (attributes ?? {}) as {
        signalName?: string;
        activityType?: { name?: string };
        failure?: { message?: string };
      };
      const words = [signalName, activityType?.name, failure?.message].filter(Boolean).join(' ');
      return `${name?.replace('EventAttributes', '') ?? '?'}${words && ` ${words}`}`;
    })
    .join(', ');
}

/** All texts and bytes of a history, for the search for secrets. */
function readable(part: unknown): string {
  if (typeof part === 'string') return part;
  if (part instanceof Uint8Array) return Buffer.from(part).toString('utf8');
  if (typeof part !== 'object' || part === null) return '';
  return Object.values(part).map(readable).join('\n');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
