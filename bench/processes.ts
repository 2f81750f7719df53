import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { freePort, ROOT, startTemporal } from '../test/support/temporal.ts';
import type { TemporalServer } from '../test/support/temporal.ts';
import type { Pids } from './cpu.ts';
import { startScript, untilReady } from './part.ts';
import type { Part } from './part.ts';

/** Everything that runs during a suite, each part as a process of its own. */
export interface Stand {
  temporal: Pick<TemporalServer, 'address' | 'pid' | 'kill' | 'restart'>;
  agentUrl: string;
  apiUrl: string;
  /** All of them; `apiUrl` is the first. */
  apiUrls: string[];
  /** API and worker in one process, with a task queue of its own; empty without `withServe`. */
  serveUrl: string;
  baselineTaskQueue: string;
  apis: Part[];
  workers: Part[];
  baseline: Part | undefined;
  /** By the name they have in the report. */
  pids: () => Pids;
  /** How often the agent was called, by execution. */
  agentCalls: () => Promise<Record<string, number>>;
  stop: () => Promise<void>;
}

export interface StandOptions {
  apis?: number;
  workers?: number;
  withBaseline?: boolean;
  withServe?: boolean;
  /** Of API and worker. */
  env?: Record<string, string>;
  /** Where the Temporal server tells its metrics. */
  metricsPort?: number;
  /** One that runs already; it is not stopped. */
  temporal?: Stand['temporal'];
  /** Folder for CPU profiles of all Node processes. */
  profiles?: string | undefined;
}

export const PROCESS_NAMES = ['server', 'api', 'worker', 'serve', 'bare worker', 'agent', 'client'] as const;
export type ProcessName = (typeof PROCESS_NAMES)[number];

export const NODE_NAME = 'bench';
const BASELINE_TASK_QUEUE = 'bench-baseline';
const SERVE_TASK_QUEUE = 'bench-serve';

/** @param stopAtEnd is told before anything starts: whoever is interrupted meanwhile must leave nothing behind. */
export async function startStand(
  options: StandOptions = {},
  stopAtEnd: (stand: { stop: () => Promise<void> }) => void = () => undefined,
): Promise<Stand> {
  const { apis: apiCount = 1, workers: workerCount = 1, withBaseline = true, withServe = false } = options;
  const started: { stop: () => Promise<void> }[] = [];
  let stopping: Promise<void> | undefined;
  const stopParts = async () => {
    for (const part of started.splice(0).toReversed()) await part.stop();
  };
  const stop = () => (stopping ??= stopParts());
  stopAtEnd({ stop });
  const keep = async <T extends { stop: () => Promise<void> }>(part: T): Promise<T> => {
    started.push(part);
    if (!stopping) return part;
    await part.stop();
    throw new Error('interrupted');
  };
  const start = (script: string, env?: Record<string, string>) => keep(startScript(script, env, options.profiles));

  try {
    const temporal = options.temporal ?? (await keep(await startDevServer(options.metricsPort)));

    const agent = await start('bench/agent.ts');
    const { port } = await agent.message<{ port: number }>();
    const agentUrl = `http://127.0.0.1:${port}`;

    const apiPorts = await Promise.all(Array.from({ length: apiCount }, freePort));
    const apiUrls = apiPorts.map((apiPort) => `http://127.0.0.1:${apiPort}`);
    const [apiUrl = ''] = apiUrls;
    const env = {
      TEMPORAL_ADDRESS: temporal.address,
      PERDURE_AGENT_NODES: JSON.stringify({ [NODE_NAME]: agentUrl }),
      PERDURE_SECRET_KEYS: `k1:${randomBytes(32).toString('base64')}`,
      ...options.env,
    };
    const apis: Part[] = [];
    for (const apiPort of apiPorts)
      apis.push(await start('api/main.ts', { ...env, HOST: '127.0.0.1', PORT: String(apiPort) }));
    const workers: Part[] = [];
    while (workers.length < workerCount)
      workers.push(await start('worker/main.ts', { ...env, PERDURE_PUBLIC_URL: apiUrl }));
    const servePort = await freePort();
    const serveUrl = withServe ? `http://127.0.0.1:${servePort}` : '';
    const serve = withServe
      ? await start('serve/main.ts', {
          ...env,
          HOST: '127.0.0.1',
          PORT: String(servePort),
          PERDURE_TASK_QUEUE: SERVE_TASK_QUEUE,
          PERDURE_PUBLIC_URL: serveUrl,
        })
      : undefined;
    const baseline = withBaseline ? await start('bench/baseline-worker.ts', baselineEnv(temporal.address)) : undefined;
    await baseline?.message();
    for (const url of apiUrls) await untilReady(`${url}/ready`, [...apis, ...workers]);
    if (serve) await untilReady(`${serveUrl}/ready`, [serve]);

    return {
      temporal,
      agentUrl,
      apiUrl,
      apiUrls,
      serveUrl,
      baselineTaskQueue: BASELINE_TASK_QUEUE,
      apis,
      workers,
      baseline,
      pids: () => ({
        server: [temporal.pid],
        api: apis.map((part) => part.pid),
        worker: workers.map((part) => part.pid),
        serve: serve ? [serve.pid] : [],
        'bare worker': baseline ? [baseline.pid] : [],
        agent: [agent.pid],
        client: [process.pid],
      }),
      agentCalls: async () => (await (await fetch(`${agentUrl}/calls`)).json()) as Record<string, number>,
      stop,
    };
  } catch (err) {
    await stop();
    throw err;
  }
}

export function startDevServer(metricsPort?: number): Promise<TemporalServer> {
  ensureTemporalCli();
  return startTemporal({ metricsPort });
}

/** Building it may take minutes the first time: it says so itself, on stderr. */
export function ensureTemporalCli(): void {
  process.env.TEMPORAL_CLI_PATH ??= execFileSync(join(ROOT, 'temporal-dev.sh'), ['--cli-path'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  }).trim();
}

function baselineEnv(address: string): Record<string, string> {
  return { TEMPORAL_ADDRESS: address, BENCH_TASK_QUEUE: BASELINE_TASK_QUEUE };
}
