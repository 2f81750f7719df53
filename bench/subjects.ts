import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import type { WorkflowHandle } from '@temporalio/client';
import { Agent, request } from 'undici';
import type { callAgentAndNotify, callAgentOnly } from './baseline-workflows.ts';
import type { Turn } from './load.ts';
import { NODE_NAME } from './processes.ts';
import type { Stand } from './processes.ts';
import { startReceiver } from './receiver.ts';

/** The ways to get an agent called (and a state read) that are measured against each other. */
export const SUBJECTS = {
  direct: 'A direct agent call',
  bareCall: 'B bare SDK, one activity: execute()',
  perdureCall: 'C Perdure sync',
  bareBoth: 'B bare SDK, two activities: execute()',
  perdureBoth: 'C Perdure sync + webhook',
  bareStart: 'B bare SDK, two activities: start()',
  perdureStart: 'C Perdure async submit + webhook',
  describe: 'B describe() of a running execution',
  poll: 'C Perdure GET of a watched, running execution',
} as const;
export type SubjectName = keyof typeof SUBJECTS;

export interface Subjects {
  turns: Record<SubjectName, () => Promise<Turn>>;
  /** What the server counts of a workflow that has closed. */
  sizeOf: (workflowId: string) => Promise<{ events: number; transitions: number } | undefined>;
  serverVersion: () => Promise<string>;
  close: () => Promise<void>;
}

const MAX_CONNECTIONS = 256;
const CLOSE_DEADLINE_MS = 5_000;

/** About 260 bytes of JSON, as a question to an agent looks. */
const INPUT = {
  question: 'Which of the three suppliers can deliver the replacement pumps before the end of the month?',
  documents: ['offer-2291.pdf', 'offer-2304.pdf', 'offer-2317.pdf'],
  language: 'en',
  limits: { max_tokens: 4000, max_steps: 12 },
  conversation: 'conv-7f31',
};

export async function createSubjects(stand: Stand): Promise<Subjects> {
  const { agentUrl, apiUrl, baselineTaskQueue: taskQueue } = stand;
  const http = new Agent({ connections: MAX_CONNECTIONS, keepAliveTimeout: 60_000 });
  const receiver = await startReceiver();
  const connection = await Connection.connect({ address: stand.temporalAddress });
  const client = new Client({ connection });

  const input = INPUT;
  const bareUrl = `${agentUrl}/reasoners/echo`;

  async function send(url: string, body?: unknown): Promise<{ status: number; executionId: string; text: string }> {
    const {
      statusCode,
      headers,
      body: answer,
    } = await request(url, {
      dispatcher: http,
      ...(body !== undefined && {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    });
    const text = await answer.text();
    if (statusCode >= 300) throw new Error(`HTTP ${statusCode}: ${text.slice(0, 200)}`);
    return { status: statusCode, executionId: String(headers['x-execution-id'] ?? ''), text };
  }

  const submit = async (path: string, wanted: number, webhookUrl?: string) => {
    const webhook = webhookUrl === undefined ? undefined : { url: webhookUrl, secret: 'whsec_bench' };
    const { status, executionId, text } = await send(`${apiUrl}/api/v1/${path}`, { input, webhook });
    if (status !== wanted) throw new Error(`HTTP ${status} instead of ${wanted}: ${text.slice(0, 200)}`);
    return executionId;
  };

  /** Times a call that makes one workflow, and the arrival of its webhook. */
  const withWebhook = async (call: (webhookUrl: string) => Promise<string>): Promise<Turn> => {
    const { url, arrival } = receiver.expect();
    const sentAt = performance.now();
    const workflowId = await call(url);
    const answerMs = performance.now() - sentAt;
    return { answerMs, webhookMs: (await arrival) - sentAt, workflowId };
  };

  const bareArguments = (webhookUrl: string) => {
    const executionId = `bare-${randomUUID()}`;
    const args: Parameters<typeof callAgentAndNotify> = [{ agentUrl: bareUrl, input, executionId, webhookUrl }];
    return { workflowId: executionId, taskQueue, args };
  };

  const held = await holdOne(`${apiUrl}/api/v1`, send);

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

      bareBoth: () =>
        withWebhook(async (webhookUrl) => {
          const options = bareArguments(webhookUrl);
          await client.workflow.execute<typeof callAgentAndNotify>('callAgentAndNotify', options);
          return options.workflowId;
        }),
      perdureBoth: () => withWebhook((webhookUrl) => submit(`execute/${NODE_NAME}.echo`, 200, webhookUrl)),

      bareStart: () =>
        withWebhook(async (webhookUrl) => {
          const options = bareArguments(webhookUrl);
          await client.workflow.start<typeof callAgentAndNotify>('callAgentAndNotify', options);
          return options.workflowId;
        }),
      perdureStart: () => withWebhook((webhookUrl) => submit(`execute/async/${NODE_NAME}.echo`, 202, webhookUrl)),

      describe: () => timed(async () => void (await client.workflow.getHandle(held).describe())),
      poll: () => timed(async () => void (await send(`${apiUrl}/api/v1/executions/${held}`))),
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
      await http.destroy();
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
async function holdOne(
  base: string,
  send: (url: string, body?: unknown) => Promise<{ executionId: string; text: string }>,
): Promise<string> {
  const { executionId } = await send(`${base}/execute/async/${NODE_NAME}.hold`, { input: INPUT });
  for (let tries = 0; tries < 100; tries++) {
    const { text } = await send(`${base}/executions/${executionId}?wait=1`);
    if ((JSON.parse(text) as { status: string }).status === 'running') return executionId;
  }
  throw new Error('the execution to poll does not run');
}
