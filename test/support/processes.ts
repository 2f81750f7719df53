import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { httpClient } from './system.ts';
import type { System } from './system.ts';
import { freePort, ROOT } from './temporal.ts';

const READY_DEADLINE_MS = 60_000;

/** API and worker as the processes they are in production, to be killed. */
export interface Processes extends Pick<System, 'post' | 'get' | 'running' | 'end'> {
  url: string;
  worker: Killable;
  api: Killable;
}

export interface Killable {
  pid: () => number;
  /** As a crash does it; resolves when the process is gone. */
  kill: () => Promise<void>;
  /** In order; the exit code. */
  stop: () => Promise<number | null>;
  start: () => Promise<void>;
}

export interface ProcessOptions {
  address: string;
  agentNodes: Record<string, unknown>;
  env?: Record<string, string>;
  /** What `node` is given instead of the sources. */
  nodeArguments?: { api: string[]; worker: string[] };
}

export async function startProcesses(t: Pick<TestContext, 'after'>, options: ProcessOptions): Promise<Processes> {
  const { url, env, client, isReady } = await setUp(options);
  const { nodeArguments = { api: fromSource('api/main.ts'), worker: fromSource('worker/main.ts') } } = options;
  const api = killable(t, nodeArguments.api, env, isReady('/health'));
  const worker = killable(t, nodeArguments.worker, env, isReady('/ready'));
  await api.start();
  await worker.start();
  return { url, worker, api, ...client };
}

/** API and worker as one process. */
export async function startServe(t: Pick<TestContext, 'after'>, options: Omit<ProcessOptions, 'nodeArguments'>) {
  const { url, env, client, isReady } = await setUp(options);
  const process = killable(t, fromSource('serve/main.ts'), env, isReady('/ready'));
  await process.start();
  return { url, env, process, ...client };
}

async function setUp(options: ProcessOptions) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = {
    ...process.env,
    HOST: '127.0.0.1',
    PORT: String(port),
    TEMPORAL_ADDRESS: options.address,
    PERDURE_PUBLIC_URL: url,
    PERDURE_TASK_QUEUE: `test-${randomUUID()}`,
    PERDURE_AGENT_NODES: JSON.stringify(options.agentNodes),
    PERDURE_SECRET_KEYS: `test:${randomBytes(32).toString('base64')}`,
    PERDURE_LOG_LEVEL: 'warn',
    PERDURE_AGENT_HEARTBEAT_TIMEOUT_MS: '2000',
    PERDURE_AGENT_RETRY_INITIAL_MS: '100',
    PERDURE_CANCEL_GRACE_MS: '200',
    PERDURE_WEBHOOK_RETRY_INITIAL_MS: '200',
    PERDURE_WEBHOOK_TIMEOUT_MS: '3000',
    ...options.env,
  };
  const client = httpClient(url);
  const isReady = (path: string) => () =>
    client.get(path).then(
      ({ status }) => status === 200,
      () => false,
    );
  return { url, env, client, isReady };
}

function fromSource(script: string): string[] {
  return ['--import', 'tsx', script];
}

export function killable(
  t: Pick<TestContext, 'after'>,
  nodeArguments: string[],
  env: NodeJS.ProcessEnv,
  isReady: () => Promise<boolean>,
): Killable {
  const script = nodeArguments.at(-1);
  let child: ChildProcess | undefined;
  const endBy = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const gone = once(child, 'exit') as Promise<[number | null]>;
    child.kill(signal);
    const [exitCode] = await gone;
    return exitCode;
  };
  const kill = async () => void (await endBy('SIGKILL'));
  t.after(kill);
  return {
    pid: () => child?.pid ?? 0,
    kill,
    stop: () => endBy('SIGTERM'),
    start: async () => {
      child = spawn(process.execPath, nodeArguments, {
        cwd: ROOT,
        env,
        stdio: ['ignore', process.env.PERDURE_TEST_VERBOSE ? 'inherit' : 'ignore', 'inherit'],
      });
      for (const until = Date.now() + READY_DEADLINE_MS; Date.now() < until; await sleep(100)) {
        if (child.exitCode !== null) throw new Error(`${script} ended with code ${child.exitCode}`);
        if (await isReady()) return;
      }
      throw new Error(`${script} was not ready in time`);
    },
  };
}
