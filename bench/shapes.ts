/** Suite `shapes`: what each way an execution can go costs at the server, counted from real histories. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { ACTION_RULES, billableActions, UNSEEN_ACTIONS } from './actions.ts';
import type { HistoryEvent } from './actions.ts';
import type { callAgentAndNotify } from './baseline-workflows.ts';
import { createBenchClient, INPUT, WEBHOOK_SECRET } from './client.ts';
import { NODE_NAME } from './processes.ts';
import type { Stand } from './processes.ts';
import { startReceiver } from './receiver.ts';
import type { Receiver } from './receiver.ts';
import { median } from './statistics.ts';
import { factLines } from './suite.ts';
import type { Suite } from './suite.ts';
import { table } from './table.ts';

interface Shape {
  name: string;
  /** Each makes one execution, to the close of its workflow, and gives the workflow id. */
  perdure: (bench: Bench) => Promise<string>;
  /** Unset where the bare SDK has nothing of the kind. */
  bare?: (bench: Bench) => Promise<string>;
}

interface Size {
  events: number;
  bytes: number;
  transitions: number;
  actions: number;
}

const IDLE_POLL_MS = 25;
const DEADLINE_MS = 60_000;

const SHAPES: Shape[] = [
  {
    name: 'sync',
    perdure: ({ execute }) => execute('execute', 'echo'),
    bare: ({ start }) => start('callAgentOnly', 'echo'),
  },
  {
    name: 'async + webhook',
    perdure: async ({ execute, receiver }) => {
      const { url, arrival } = receiver.expect();
      const id = await execute('execute/async', 'echo', url);
      await arrival;
      return id;
    },
    bare: ({ start, receiver }) => start('callAgentAndNotify', 'echo', receiver.expect().url),
  },
  {
    name: '202 + callback + webhook',
    perdure: async ({ execute, callBack, untilIdle, receiver }) => {
      const { url, arrival } = receiver.expect();
      const id = await execute('execute/async', 'hold', url);
      await untilIdle(id);
      await callBack(id);
      await arrival;
      return id;
    },
    bare: async ({ start, signal, untilIdle, receiver }) => {
      const id = await start('awaitAgentAndNotify', 'hold', receiver.expect().url);
      await untilIdle(id);
      await signal(id);
      return id;
    },
  },
  {
    name: 'stream of two progress frames and a result',
    perdure: ({ execute }) => execute('execute', 'stream'),
  },
  {
    name: 'async + webhook, refused once and retried',
    perdure: async ({ execute, receiver }) => {
      const { url, arrival } = receiver.expect({ failures: 1 });
      const id = await execute('execute/async', 'echo', url);
      await arrival;
      return id;
    },
    bare: ({ start, receiver }) => start('callAgentAndNotify', 'echo', receiver.expect({ failures: 1 }).url),
  },
];

export const shapes: Suite = async ({ plan, startStand, say }) => {
  const stand = await startStand({ env: { PERDURE_WEBHOOK_RETRY_INITIAL_MS: '500' } });
  const bench = await createBench(stand);
  const rounds = plan.rounds ?? (plan.quick ? 2 : 5);
  const rows: string[][] = [];
  for (const { name, perdure, bare } of SHAPES) {
    const [ours, theirs] = [await sizes(bench, perdure, rounds), bare && (await sizes(bench, bare, rounds))];
    say(`${name}: ${ours.map(({ events }) => events).join(' ')} events`);
    rows.push([name, ...cells(ours, theirs)]);
  }
  const serverVersion = await bench.serverVersion();
  await bench.close();
  return render(rows, rounds, serverVersion);
};

async function sizes(bench: Bench, run: (bench: Bench) => Promise<string>, rounds: number): Promise<Size[]> {
  const all: Size[] = [];
  for (let round = 0; round < rounds; round++) all.push(await bench.sizeOf(await run(bench)));
  return all;
}

type Bench = Awaited<ReturnType<typeof createBench>>;

async function createBench(stand: Stand) {
  const http = createBenchClient();
  const receiver: Receiver = await startReceiver();
  const connection = await Connection.connect({ address: stand.temporal.address });
  const client = new Client({ connection });
  const base = `${stand.apiUrl}/api/v1`;

  const describe = (id: string) => client.workflow.getHandle(id).describe();
  return {
    receiver,
    execute: async (path: string, behaviour: string, webhookUrl?: string) => {
      const webhook = webhookUrl === undefined ? undefined : { url: webhookUrl, secret: WEBHOOK_SECRET };
      return (await http.send(`${base}/${path}/${NODE_NAME}.${behaviour}`, { input: INPUT, webhook })).executionId;
    },
    callBack: async (id: string) => {
      await http.send(`${base}/executions/${id}/status`, { status: 'succeeded', result: INPUT });
    },
    start: async (workflow: string, behaviour: string, webhookUrl = '') => {
      const executionId = `bare-${randomUUID()}`;
      const agentUrl = `${stand.agentUrl}/reasoners/${behaviour}`;
      const args: Parameters<typeof callAgentAndNotify> = [{ agentUrl, input: INPUT, executionId, webhookUrl }];
      await client.workflow.start(workflow, { workflowId: executionId, taskQueue: stand.baselineTaskQueue, args });
      return executionId;
    },
    signal: (id: string) => client.workflow.getHandle(id).signal('result', INPUT),
    /** Until the agent was called and nothing is left to do but to wait for it. */
    untilIdle: async (id: string) => {
      for (const until = Date.now() + DEADLINE_MS; Date.now() < until; await sleep(IDLE_POLL_MS)) {
        const { raw } = await describe(id);
        const isBusy = raw.pendingWorkflowTask || (raw.pendingActivities?.length ?? 0) > 0;
        if (!isBusy && (await stand.agentCalls())[id] !== undefined) return;
      }
      throw new Error(`${id} does not come to rest`);
    },
    sizeOf: async (id: string): Promise<Size> => {
      const handle = client.workflow.getHandle(id);
      await connection.withDeadline(Date.now() + DEADLINE_MS, () => handle.result().catch(() => undefined));
      const { historyLength, status, raw } = await describe(id);
      if (status.name === 'RUNNING') throw new Error(`${id} has not closed`);
      const { events } = await handle.fetchHistory();
      return {
        events: historyLength,
        bytes: Number(raw.workflowExecutionInfo?.historySizeBytes ?? 0),
        transitions: Number(raw.workflowExecutionInfo?.stateTransitionCount ?? 0),
        actions: billableActions((events ?? []) as HistoryEvent[]),
      };
    },
    serverVersion: async () => (await connection.workflowService.getSystemInfo({})).serverVersion ?? 'unknown',
    close: async () => {
      receiver.close();
      await http.close();
      await connection.close();
    },
  };
}

function cells(ours: Size[], theirs: Size[] | undefined): string[] {
  return (['events', 'bytes', 'transitions', 'actions'] as const).flatMap((what) => [
    spanOf(ours.map((size) => size[what])),
    theirs ? spanOf(theirs.map((size) => size[what])) : '-',
  ]);
}

/** The median, and the range where the executions were not all alike. */
function spanOf(values: number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const middle = median(values).toFixed(0);
  return least === most ? middle : `${middle} (${least}-${most})`;
}

function render(rows: string[][], rounds: number, serverVersion: string): string {
  const header = ['events', 'bytes', 'transitions', 'actions'].flatMap((what) => [`${what}: Perdure`, 'bare']);
  return [
    '## Shapes: what an execution costs at the server',
    '',
    ...factLines(serverVersion),
    `- Executions: ${rounds} of each shape; the median, and the range where they differ`,
    '',
    table(['', ...header], rows),
    '',
    '- Events and bytes are of the history, state transitions and bytes as the server counts them (describe). Input and',
    '  result have about 260 bytes each. Perdure seals the webhook, writes two search attributes, and has its own state',
    '  in the input of the webhook; the bare SDK does none of that.',
    '- "bare" is the Temporal SDK alone, with the same calls as ordinary activities; the callback comes as a signal. Its',
    '  retries leave no trace but the attempt number, Perdure keeps every failed attempt (one signal). It has no streams.',
    '- Bytes differ a little from one execution to the next: ids, times and numbers have different lengths.',
    '',
    '### Billable actions',
    '',
    'Counted from the histories by the rules of Temporal Cloud:',
    '',
    ...ACTION_RULES.map(({ what, rule }) => `- ${what}: ${rule}`),
    '',
    UNSEEN_ACTIONS,
    '',
  ].join('\n');
}
