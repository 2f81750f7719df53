import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import type { WorkflowHandle } from '@temporalio/client';
import type { callAgentAndNotify, callAgentOnly } from './baseline-workflows.ts';
import { createBenchClient, INPUT, WEBHOOK_SECRET } from './client.ts';
import type { BenchClient } from './client.ts';
import type { Turn } from './load.ts';
import type { Peer, PeerName } from './peers/peer.ts';
import { NODE_NAME } from './processes.ts';
import type { Stand } from './processes.ts';
import { startReceiver } from './receiver.ts';

/** The ways to get an agent called (and a state read) that are measured against each other. */
export const SUBJECTS = {
  direct: 'A direct agent call',
  bareCall: 'B bare SDK, one activity: execute()',
  perdureCall: 'C Perdure sync',
  serveCall: 'C1 Perdure in one process, sync',
  bareBoth: 'B bare SDK, two activities: execute()',
  perdureBoth: 'C Perdure sync + webhook',
  serveBoth: 'C1 Perdure in one process, sync + webhook',
  bareStart: 'B bare SDK, two activities: start()',
  perdureStart: 'C Perdure async submit + webhook',
  serveStart: 'C1 Perdure in one process, async submit + webhook',
  describe: 'B describe() of a running execution',
  poll: 'C Perdure GET of a watched, running execution',
  restateBoth: 'D Restate call + webhook',
  dbosBoth: 'E DBOS call + webhook',
  restateStart: 'D Restate /send + webhook',
  dbosStart: 'E DBOS submit + webhook',
} as const;
export type SubjectName = keyof typeof SUBJECTS;

/** Subjects that need a peer. */
export const PEER_OF: Partial<Record<SubjectName, PeerName>> = {
  restateBoth: 'restate',
  restateStart: 'restate',
  dbosBoth: 'dbos',
  dbosStart: 'dbos',
};

export interface Subjects {
  turns: Record<SubjectName, () => Promise<Turn>>;
  /** What the server counts of a workflow that has closed. */
  sizeOf: (workflowId: string) => Promise<{ events: number; transitions: number } | undefined>;
  serverVersion: () => Promise<string>;
  close: () => Promise<void>;
}

const CLOSE_DEADLINE_MS = 5_000;

export async function createSubjects(stand: Stand, peers: readonly Peer[] = []): Promise<Subjects> {
  const { agentUrl, apiUrls, serveUrl, baselineTaskQueue: taskQueue } = stand;
  const http = createBenchClient();
  const { send } = http;
  const receiver = await startReceiver();
  const connection = await Connection.connect({ address: stand.temporal.address });
  const client = new Client({ connection });

  const input = INPUT;
  const bareUrl = `${agentUrl}/reasoners/echo`;

  let submits = 0;
  const nextApi = () => apiUrls[submits++ % apiUrls.length] ?? '';
  const submit = async (path: string, wanted: number, webhookUrl?: string, api = nextApi()) => {
    const webhook = webhookUrl === undefined ? undefined : { url: webhookUrl, secret: WEBHOOK_SECRET };
    const { status, executionId, text } = await send(`${api}/api/v1/${path}`, { input, webhook });
    if (status !== wanted) throw new Error(`HTTP ${status} instead of ${wanted}: ${text.slice(0, 200)}`);
    return executionId;
  };

  /** Times a call that makes one workflow, and the arrival of its webhook. */
  const withWebhook = async (call: (webhookUrl: string) => Promise<string | void>): Promise<Turn> => {
    const { url, arrival } = receiver.expect();
    const sentAt = performance.now();
    const workflowId = await call(url);
    const answerMs = performance.now() - sentAt;
    return { answerMs, webhookMs: (await arrival) - sentAt, ...(typeof workflowId === 'string' && { workflowId }) };
  };

  const bareArguments = (webhookUrl: string) => {
    const executionId = `bare-${randomUUID()}`;
    const args: Parameters<typeof callAgentAndNotify> = [{ agentUrl: bareUrl, input, executionId, webhookUrl }];
    return { workflowId: executionId, taskQueue, args };
  };

  /** Peers give their workflows ids of their own; the server counts nothing of them. */
  const throughPeer = (name: PeerName, way: 'call' | 'submit') => () => {
    const peer = peers.find((each) => each.name === name);
    if (!peer) throw new Error(`${name} does not run`);
    return withWebhook(async (webhookUrl) => {
      await peer[way]({ id: randomUUID(), agentUrl: bareUrl, input, webhookUrl });
    });
  };

  const held = await holdOne(`${stand.apiUrl}/api/v1`, send);

  return {
    turns: {
      direct: () => timed(async () => void (await send(bareUrl, input))),

      bareCall: async () => {
        const workflowId = `bare-${randomUUID()}`;
        const args: Parameters<typeof callAgentOnly> = [{ agentUrl: bareUrl, input }];
        const turn = await timed(async () => {
          await client.workflow.execute<typeof callAgentOnly>('callAgentOnly', { workflowId, taskQueue, args });
        });
        return { ...turn, workflowId };
      },
      perdureCall: () => timed(() => submit(`execute/${NODE_NAME}.echo`, 200)),
      serveCall: () => timed(() => submit(`execute/${NODE_NAME}.echo`, 200, undefined, serveUrl)),

      bareBoth: () =>
        withWebhook(async (webhookUrl) => {
          const options = bareArguments(webhookUrl);
          await client.workflow.execute<typeof callAgentAndNotify>('callAgentAndNotify', options);
          return options.workflowId;
        }),
      perdureBoth: () => withWebhook((webhookUrl) => submit(`execute/${NODE_NAME}.echo`, 200, webhookUrl)),
      serveBoth: () => withWebhook((webhookUrl) => submit(`execute/${NODE_NAME}.echo`, 200, webhookUrl, serveUrl)),

      bareStart: () =>
        withWebhook(async (webhookUrl) => {
          const options = bareArguments(webhookUrl);
          await client.workflow.start<typeof callAgentAndNotify>('callAgentAndNotify', options);
          return options.workflowId;
        }),
      perdureStart: () => withWebhook((webhookUrl) => submit(`execute/async/${NODE_NAME}.echo`, 202, webhookUrl)),
      serveStart: () =>
        withWebhook((webhookUrl) => submit(`execute/async/${NODE_NAME}.echo`, 202, webhookUrl, serveUrl)),

      describe: () => timed(async () => void (await client.workflow.getHandle(held).describe())),
      poll: () => timed(async () => void (await send(`${stand.apiUrl}/api/v1/executions/${held}`))),

      restateBoth: throughPeer('restate', 'call'),
      restateStart: throughPeer('restate', 'submit'),
      dbosBoth: throughPeer('dbos', 'call'),
      dbosStart: throughPeer('dbos', 'submit'),
    },

    sizeOf: async (workflowId) => {
      const handle = client.workflow.getHandle(workflowId);
      await waitUntilClosed(connection, handle);
      const { historyLength, status, raw } = await handle.describe();
      if (status.name === 'RUNNING') return undefined;
      return { events: historyLength, transitions: Number(raw.workflowExecutionInfo?.stateTransitionCount ?? 0) };
    },

    serverVersion: async () => {
      const { serverVersion } = await connection.workflowService.getSystemInfo({});
      return serverVersion ?? 'unknown';
    },

    close: async () => {
      receiver.close();
      await http.close();
      await connection.close();
    },
  };
}

async function timed(call: () => Promise<string | void>): Promise<Turn> {
  const sentAt = performance.now();
  const workflowId = await call();
  const answerMs = performance.now() - sentAt;
  return { answerMs, ...(typeof workflowId === 'string' && { workflowId }) };
}

/** The end of the workflow comes after that of the execution. */
async function waitUntilClosed(connection: Connection, handle: WorkflowHandle): Promise<void> {
  await connection.withDeadline(Date.now() + CLOSE_DEADLINE_MS, () => handle.result().catch(() => undefined));
}

/** Starts an execution that runs on: its agent has said 202 and is silent. */
async function holdOne(base: string, send: BenchClient['send']): Promise<string> {
  const { executionId } = await send(`${base}/execute/async/${NODE_NAME}.hold`, { input: INPUT });
  for (let tries = 0; tries < 100; tries++) {
    const { text } = await send(`${base}/executions/${executionId}?wait=1`);
    if ((JSON.parse(text) as { status: string }).status === 'running') return executionId;
  }
  throw new Error('the execution to poll does not run');
}
