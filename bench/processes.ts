import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, ROOT, startTemporal } from '../test/support/temporal.ts';

/** Everything that runs during the benchmark, each part as a process of its own. */
export interface Stand {
  temporalAddress: string;
  agentUrl: string;
  apiUrl: string;
  baselineTaskQueue: string;
  /** By the name they have in the report. */
  pids: Record<ProcessName, number>;
  stop: () => Promise<void>;
}

export const PROCESS_NAMES = ['server', 'api', 'worker', 'bare worker', 'agent', 'client'] as const;
export type ProcessName = (typeof PROCESS_NAMES)[number];

export const NODE_NAME = 'bench';
const BASELINE_TASK_QUEUE = 'bench-baseline';
const READY_DEADLINE_MS = 60_000;
const STOP_GRACE_MS = 5_000;

export async function startStand(): Promise<Stand> {
  const started: { stop: () => Promise<void> }[] = [];
  const stop = async () => {
    for (const part of started.splice(0).toReversed()) await part.stop();
  };
  const start = (script: string, env: Record<string, string> = {}) => {
    const part = startScript(script, env);
    started.push(part);
    return part;
  };

  try {
    // Building the CLI may take minutes the first time: it says so itself, on stderr.
    process.env.TEMPORAL_CLI_PATH ??= execFileSync(join(ROOT, 'temporal-dev.sh'), ['--cli-path'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      encoding: 'utf8',
    }).trim();
    const temporal = await startTemporal();
    started.push(temporal);

    const agent = start('bench/agent.ts');
    const { port } = await agent.message<{ port: number }>();
    const agentUrl = `http://127.0.0.1:${port}`;

    const apiPort = await freePort();
    const apiUrl = `http://127.0.0.1:${apiPort}`;
    const env = {
      TEMPORAL_ADDRESS: temporal.address,
      PERDURE_AGENT_NODES: JSON.stringify({ [NODE_NAME]: agentUrl }),
      PERDURE_SECRET_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    };
    const api = start('api/main.ts', { ...env, HOST: '127.0.0.1', PORT: String(apiPort) });
    const worker = start('worker/main.ts', { ...env, PERDURE_PUBLIC_URL: apiUrl });
    const baseline = start('bench/baseline-worker.ts', {
      TEMPORAL_ADDRESS: temporal.address,
      BENCH_TASK_QUEUE: BASELINE_TASK_QUEUE,
    });
    await baseline.message();
    await untilReady(`${apiUrl}/ready`, [api, worker]);

    return {
      temporalAddress: temporal.address,
      agentUrl,
      apiUrl,
      baselineTaskQueue: BASELINE_TASK_QUEUE,
      pids: {
        server: temporal.pid,
        api: api.pid,
        worker: worker.pid,
        'bare worker': baseline.pid,
        agent: agent.pid,
        client: process.pid,
      },
      stop,
    };
  } catch (err) {
    await stop();
    throw err;
  }
}

interface Part {
  pid: number;
  hasEnded: () => boolean;
  script: string;
  /** The first thing the process says over the channel. */
  message: <T>() => Promise<T>;
  stop: () => Promise<void>;
}

function startScript(script: string, env: Record<string, string>): Part {
  const child = spawn(process.execPath, ['--import', 'tsx', script], {
    cwd: ROOT,
    env: { ...inheritedEnvironment(), ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  return {
    pid: child.pid ?? 0,
    script,
    hasEnded,
    message: async <T>() => {
      const ended = once(child, 'exit').then(() => Promise.reject(new Error(`${script} has ended`)));
      const [message] = (await Promise.race([once(child, 'message'), ended])) as [T];
      return message;
    },
    stop: () => (hasEnded() ? Promise.resolve() : stopChild(child)),
  };
}

/** What this machine's owner has set for a Perdure of their own must not reach the one that is measured. */
export function inheritedEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(PERDURE|TEMPORAL)_|^(HOST|PORT)$/.test(name)),
  );
}

async function stopChild(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
  await ended;
  clearTimeout(timer);
}

async function untilReady(url: string, parts: Part[]): Promise<void> {
  for (const until = Date.now() + READY_DEADLINE_MS; Date.now() < until; await sleep(100)) {
    const ended = parts.find((part) => part.hasEnded());
    if (ended) throw new Error(`${ended.script} has ended`);
    const response = await fetch(url).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return;
  }
  throw new Error(`${url} does not answer`);
}
