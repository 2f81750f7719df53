import { randomBytes, randomUUID } from 'node:crypto';
import type { TestContext } from 'node:test';
import type { Client } from '@temporalio/client';
import { NativeConnection, Runtime, DefaultLogger } from '@temporalio/worker';
import { createAgentHttp, createWebhookHttp } from '../../activities/index.ts';
import type { ApiConfig } from '../../api/config.ts';
import { createApi } from '../../api/create-api.ts';
import { listen } from '../../api/server.ts';
import { connectTemporal } from '../../common/connect-temporal.ts';
import { parseAgentNodes } from '../../common/agent-nodes.ts';
import { createLogger } from '../../common/logger.ts';
import type { Logger } from '../../common/logger.ts';
import { createSealer } from '../../common/sealing.ts';
import { createDirectory } from '../../nodes/directory.ts';
import { createNodeRegistry } from '../../nodes/registry.ts';
import { startWorker as startRealWorker } from '../../worker/start-worker.ts';
import type { RunningWorker } from '../../worker/start-worker.ts';
import { workflowBundle } from './bundle.ts';

// Outages are made on purpose here: what the SDK has to say about them would bury the tests.
Runtime.install({
  logger: new DefaultLogger('ERROR'),
  telemetryOptions: { logging: { filter: 'OFF' } },
});

/** Short spans, so that tests wait for events and not for clocks. */
export const TEST_POLICY: ApiConfig['policy'] = {
  agent: {
    maximumAttempts: 3,
    initialIntervalMs: 20,
    backoffCoefficient: 1,
    maximumIntervalMs: 20,
    heartbeatTimeoutMs: 3_000,
    patienceMs: 500,
  },
  webhook: {
    maximumAttempts: 5,
    initialIntervalMs: 20,
    backoffCoefficient: 2,
    maximumIntervalMs: 1_000,
    attemptTimeoutMs: 2_000,
  },
  cancelGraceMs: 200,
};

export interface SystemOptions {
  /** As in `PERDURE_AGENT_NODES`. */
  agentNodes: Record<string, unknown>;
  address?: string;
  withWorker?: boolean;
  /** One of its own when left out. */
  taskQueue?: string;
  maxConcurrentActivities?: number;
  limits?: Partial<ApiConfig['limits']>;
  policy?: {
    agent?: Partial<ApiConfig['policy']['agent']>;
    webhook?: Partial<ApiConfig['policy']['webhook']>;
    cancelGraceMs?: number | undefined;
    maxRunEvents?: number;
  };
  logger?: Logger;
}

export interface System {
  /** Base URL of the API. */
  url: string;
  client: Client;
  taskQueue: string;
  config: ApiConfig;
  startWorker: () => Promise<void>;
  stopWorker: () => Promise<void>;
  post: (path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answered>;
  get: (path: string, headers?: Record<string, string>) => Promise<Answered>;
  /** Waits by `?wait=` until an execution is known to be with its agent, and gives its view. */
  running: (executionId: string) => Promise<Body>;
  /** Likewise until it has ended. */
  end: (executionId: string) => Promise<Body>;
}

// eslint-disable-next-line typescript/no-explicit-any -- answers are checked field by field
export type Body = any;

export interface Answered {
  status: number;
  headers: Headers;
  body: Body;
  text: string;
}

/** API and worker in this process, against the test run's Temporal server, with real HTTP at every edge. */
export async function startSystem(t: Pick<TestContext, 'after'>, options: SystemOptions): Promise<System> {
  const address = options.address ?? temporalAddress();
  const { taskQueue = `test-${randomUUID()}` } = options;
  const agentNodes = parseAgentNodes([{ from: 'test', text: JSON.stringify(options.agentNodes) }]);
  const sealer = createSealer(new Map([['test', randomBytes(32)]]));
  const logger = options.logger ?? createLogger('test', process.env.PERDURE_TEST_VERBOSE ? 'debug' : 'silent');
  const config: ApiConfig = {
    host: '127.0.0.1',
    port: 0,
    taskQueue,
    agentNodes,
    sealer,
    logLevel: 'silent',
    maxResultBytes: 1024 * 1024,
    temporal: { namespace: 'default', connectionOptions: { address } },
    limits: {
      syncLimitMs: 90_000,
      maxBodyBytes: 1024 * 1024,
      maxResultBytes: 1024 * 1024,
      maxWatchers: 1000,
      maxStreams: 1000,
      stallMs: 15_000,
      runLookMs: 200,
      ...options.limits,
    },
    policy: {
      agent: { ...TEST_POLICY.agent, ...options.policy?.agent },
      webhook: { ...TEST_POLICY.webhook, ...options.policy?.webhook },
      cancelGraceMs: options.policy?.cancelGraceMs ?? TEST_POLICY.cancelGraceMs,
      maxRunEvents: options.policy?.maxRunEvents,
    },
  };
  const temporal = connectTemporal(config.temporal);
  const { client } = temporal;
  const closing = new AbortController();
  const { app, onUpgrade, close } = createApi(config, temporal, logger, closing.signal);
  const server = await listen(app, config, onUpgrade);
  const url = `http://127.0.0.1:${server.port}`;
  t.after(async () => {
    closing.abort();
    await server.close(100);
    close();
    workerRegistry.close();
    await temporal.close();
  });

  // As in a worker process of its own.
  const workerRegistry = createNodeRegistry({ connection: temporal.following, namespace: 'default', taskQueue });
  let running: { worker: RunningWorker; connection: NativeConnection } | undefined;
  const agentHttp = createAgentHttp();
  const webhookHttp = createWebhookHttp();
  const stopWorker = async () => {
    if (!running) return;
    const { worker, connection } = running;
    running = undefined;
    worker.shutdown();
    await worker.done;
    await connection.close();
  };
  const startWorker = async () => {
    const connection = await NativeConnection.connect({ address, grpcCompression: { codec: 'none' } });
    const worker = await startRealWorker({
      connection,
      namespace: 'default',
      taskQueue,
      activities: {
        agentNodes: createDirectory(agentNodes, workerRegistry),
        sealer,
        publicUrl: url,
        maxResultBytes: config.limits.maxResultBytes,
        agentHttp,
        webhookHttp,
      },
      maxConcurrentActivities: options.maxConcurrentActivities ?? 200,
      shutdownGraceMs: 0,
      workflowBundle: await workflowBundle(),
    });
    running = { worker, connection };
  };
  t.after(async () => {
    await stopWorker();
    await Promise.all([agentHttp.destroy(), webhookHttp.destroy()]);
  });
  if (options.withWorker !== false) await startWorker();

  return { url, client, taskQueue, config, startWorker, stopWorker, ...httpClient(url) };
}

/** A further API process of a system, as far as one that shares nothing but Temporal with the first can be told apart. */
export async function anotherApi(
  t: Pick<TestContext, 'after'>,
  { config }: Pick<System, 'config'>,
): Promise<ReturnType<typeof httpClient>> {
  const temporal = connectTemporal(config.temporal);
  const closing = new AbortController();
  const logger = createLogger('test', 'silent');
  const { app, onUpgrade, close } = createApi(config, temporal, logger, closing.signal);
  const server = await listen(app, config, onUpgrade);
  t.after(async () => {
    closing.abort();
    await server.close(100);
    close();
    await temporal.close();
  });
  return httpClient(`http://127.0.0.1:${server.port}`);
}

/** Requests as a client makes them, and what came back. */
export function httpClient(url: string): Pick<System, 'post' | 'get' | 'running' | 'end'> {
  const ask = async (path: string, init: RequestInit): Promise<Answered> => {
    const response = await fetch(`${url}${path}`, init);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: parse(text), text };
  };
  const get: System['get'] = (path, headers = {}) => ask(path, { headers });
  const until = async (executionId: string, isWanted: (view: Body) => boolean): Promise<Body> => {
    let { status, body, headers } = await get(`/api/v1/executions/${executionId}`);
    for (const deadline = Date.now() + 120_000; Date.now() < deadline;) {
      if (status === 200 && isWanted(body)) return body;
      // What has changed since is no reason to wait.
      const known = headers.get('etag') ?? '';
      const next = await get(
        `/api/v1/executions/${executionId}?wait=20`,
        known === '' ? {} : { 'if-none-match': known },
      );
      if (next.status === 304) continue;
      ({ status, body, headers } = next);
    }
    throw new Error(`${executionId} is still ${String(body.status)}`);
  };
  return {
    get,
    post: (path, body, headers = {}) =>
      ask(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
    running: (executionId) => until(executionId, (view) => view.started_at !== null),
    end: (executionId) => until(executionId, (view) => view.completed_at !== null),
  };
}

/** The Temporal server that `npm test` has started for all test files. */
export function temporalAddress(): string {
  const address = process.env.PERDURE_TEST_TEMPORAL_ADDRESS;
  if (!address) throw new Error('no Temporal server: run tests by `npm test`, or `npm test -- <files>`');
  return address;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
