import { execFileSync, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort, ROOT, startTemporal } from '../test/support/temporal.ts';
import type { TemporalServer } from '../test/support/temporal.ts';
import { mountSmallDisk } from './disk.ts';
import type { SmallDisk } from './disk.ts';
import { LINKS } from './faults.ts';
import type { Link } from './faults.ts';
import { openHistories } from './histories.ts';
import type { Histories } from './histories.ts';
import { createProxy } from './proxy.ts';
import type { Proxy } from './proxy.ts';

/** The whole system under test: real processes, joined by proxies of ours. */
export interface Stand {
  /** Where clients send to, one port per API process. */
  apiUrls: readonly [string, string];
  temporal: TemporalServer;
  disk: SmallDisk | undefined;
  histories: Histories;
  /** Where API and worker are one process, these are the same two. */
  api: readonly [Part, Part];
  worker: readonly [Part, Part];
  links: Record<Link, Proxy[]>;
  /** URL under which webhooks are registered. */
  receiverUrl: string;
  /** The log files of all API and worker processes. */
  logs: string[];
  stop: () => Promise<void>;
}

/** One process that can die and come back. */
export interface Part {
  /** With the number of this start: `worker-1#2`; two of one that is API and worker. */
  names: () => string[];
  pid: () => number;
  isUp: () => boolean;
  signal: (signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT') => void;
  /** Resolves when it serves again. */
  start: (skewMs?: number) => Promise<void>;
}

/** Of a checkout: all that its processes are made of. */
export const PRODUCT_FOLDERS = ['api', 'ui', 'worker', 'serve', 'workflows', 'activities', 'common'];

/** What a process of Perdure's is, after the folder of its `main.ts`. */
type Role = 'api' | 'worker' | 'serve';

/** Time is compressed: what takes minutes in production takes seconds here. Printed with the results. */
export const SPANS = {
  PERDURE_AGENT_HEARTBEAT_TIMEOUT_MS: '4000',
  PERDURE_AGENT_RETRY_INITIAL_MS: '100',
  PERDURE_AGENT_RETRY_MAX_MS: '1000',
  PERDURE_AGENT_MAX_ATTEMPTS: '8',
  PERDURE_WEBHOOK_RETRY_INITIAL_MS: '200',
  PERDURE_WEBHOOK_RETRY_MAX_MS: '1000',
  PERDURE_WEBHOOK_TIMEOUT_MS: '2000',
  PERDURE_WEBHOOK_MAX_ATTEMPTS: '6',
  PERDURE_SYNC_LIMIT_MS: '20000',
  PERDURE_CANCEL_GRACE_MS: '1000',
} as const;

export const AGENT_NODE = 'agent';
/** Sent by the worker with each call, so that the agent knows which process calls. */
export const CALLER_HEADER = 'x-chaos-caller';

const READY_DEADLINE_MS = 120_000;
const TASK_QUEUE = 'chaos';
const SKEW_PRELOAD = fileURLToPath(new URL('clock-skew.mjs', import.meta.url));

export async function startStand(options: {
  /** The checkout whose `api/`, `worker/` and `serve/` run. */
  root: string;
  agentPort: number;
  receiverPort: number;
  /** A header of the agent node's that must show nowhere. */
  secretHeader: string;
  wantsDisk: boolean;
  /** Two processes that are API and worker each, instead of two of each. */
  isOneProcess: boolean;
  /** Where the logs of the processes are kept; else they go with the rest. */
  logFolder: string | undefined;
}): Promise<Stand> {
  const { root, agentPort, receiverPort } = options;
  const closers: (() => void | Promise<void>)[] = [];
  const stop = async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  };
  try {
    process.env.TEMPORAL_CLI_PATH ??= execFileSync(join(ROOT, 'temporal-dev.sh'), ['--cli-path'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      encoding: 'utf8',
    }).trim();
    const folder = await mkdtemp(join(tmpdir(), 'perdure-chaos-'));
    closers.push(() => rm(folder, { recursive: true, force: true }));
    const disk = options.wantsDisk ? await mountSmallDisk(join(folder, 'disk')) : undefined;
    if (disk) closers.push(disk.unmount);
    // What is left when the run itself is interrupted.
    process.once('exit', () => {
      killChildren();
      disk?.unmount();
      rmSync(folder, { recursive: true, force: true });
    });
    const temporal = await startTemporalIn(disk?.path);
    closers.push(temporal.stop);
    const histories = openHistories(temporal.address);
    closers.push(histories.close);

    // Taken last: until an API listens, its port is only free.
    let apiPorts: readonly [number, number] = [0, 0];
    const temporalPort = Number(temporal.address.split(':').at(-1));
    let turn = 0;
    const toTemporal = [await createProxy(() => temporalPort)];
    const proxies = {
      'client-api': [await createProxy(() => apiPorts[0]), await createProxy(() => apiPorts[1])],
      'api-temporal': toTemporal,
      'worker-temporal': options.isOneProcess ? toTemporal : [await createProxy(() => temporalPort)],
      'worker-agent': [await createProxy(() => agentPort)],
      'worker-receiver': [await createProxy(() => receiverPort)],
      'agent-api': [await createProxy(() => apiPorts[turn++ % 2 === 0 ? 0 : 1])],
    } satisfies Record<Link, Proxy[]>;
    for (const link of LINKS) for (const proxy of proxies[link]) closers.push(proxy.close);
    apiPorts = [await freePort(), await freePort()];
    const portOf = (link: Link, i = 0) => proxies[link][i]?.port ?? 0;
    const urlOf = (link: Link, i = 0) => `http://127.0.0.1:${portOf(link, i)}`;

    const env = {
      ...inheritedEnvironment(),
      ...SPANS,
      PERDURE_TASK_QUEUE: TASK_QUEUE,
      PERDURE_SECRET_KEYS: `chaos:${randomBytes(32).toString('base64')}`,
      PERDURE_LOG_LEVEL: 'debug',
    };
    const logs: string[] = [];
    const logFolder = options.logFolder ?? folder;
    await mkdir(logFolder, { recursive: true });
    const part = (role: Role, i: 0 | 1) =>
      createPart({
        script: `${role}/main.ts`,
        names: (role === 'serve' ? ['api', 'worker'] : [role]).map((name) => `${name}-${i + 1}`),
        root,
        logFolder,
        logs,
        closers,
        env: (names) => ({
          ...env,
          HOST: '127.0.0.1',
          PORT: String(apiPorts[i]),
          TEMPORAL_ADDRESS: `127.0.0.1:${portOf(role === 'api' ? 'api-temporal' : 'worker-temporal')}`,
          PERDURE_PUBLIC_URL: urlOf('agent-api'),
          PERDURE_AGENT_NODES: agentNodes(urlOf('worker-agent'), names.at(-1) ?? '', options.secretHeader),
        }),
        isReady: async (pid) =>
          (role === 'worker' || (await answersOk(`http://127.0.0.1:${apiPorts[i]}/health`))) &&
          (role === 'api' || histories.isPolledBy(TASK_QUEUE, pid)),
      });
    const pair = (role: Role) => [part(role, 0), part(role, 1)] as const;
    const both = options.isOneProcess ? pair('serve') : undefined;
    const stand: Stand = {
      apiUrls: [urlOf('client-api', 0), urlOf('client-api', 1)],
      temporal,
      disk,
      histories,
      api: both ?? pair('api'),
      worker: both ?? pair('worker'),
      links: proxies,
      receiverUrl: urlOf('worker-receiver'),
      logs,
      stop,
    };
    await Promise.all([...new Set([...stand.api, ...stand.worker])].map((each) => each.start()));
    return stand;
  } catch (err) {
    await stop();
    throw err;
  }
}

function agentNodes(url: string, caller: string, secretHeader: string): string {
  return JSON.stringify({ [AGENT_NODE]: { url, headers: { [CALLER_HEADER]: caller, authorization: secretHeader } } });
}

/** The support of the tests makes its data folder in the system's temporary folder: for a moment that is the disk. */
async function startTemporalIn(folder: string | undefined): Promise<TemporalServer> {
  const before = process.env.TMPDIR;
  if (folder !== undefined) process.env.TMPDIR = folder;
  try {
    // Its free port may be somebody else's by the time it listens.
    return await startTemporal().catch(startTemporal);
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  }
}

/** By pid, those of this process alone: also a Temporal that is just being started, which nobody else knows yet. */
function killChildren(): void {
  const { stdout } = spawnSync('pgrep', ['-P', String(process.pid)], { encoding: 'utf8' });
  for (const pid of (stdout ?? '').split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It has ended, as pgrep itself has.
    }
  }
}

function createPart(options: {
  /** In `root`. */
  script: string;
  names: string[];
  root: string;
  logFolder: string;
  logs: string[];
  closers: (() => void | Promise<void>)[];
  env: (names: string[]) => Record<string, string | undefined>;
  isReady: (pid: number) => Promise<boolean>;
}): Part {
  const { root, logFolder, logs } = options;
  let child: ChildProcess | undefined;
  let starts = 0;
  let isUp = false;
  const names = () => options.names.map((name) => `${name}#${starts}`);
  const hasEnded = (process: ChildProcess) => process.exitCode !== null || process.signalCode !== null;
  const kill = () => void (child && !hasEnded(child) && child.kill('SIGKILL'));
  options.closers.push(async () => {
    if (!child || hasEnded(child)) return;
    const gone = new Promise((resolve) => child?.once('exit', resolve));
    kill();
    await gone;
  });
  return {
    names,
    pid: () => child?.pid ?? 0,
    isUp: () => isUp,
    signal: (signal) => {
      if (signal === 'SIGKILL') isUp = false;
      child?.kill(signal);
    },
    start: async (skewMs = 0) => {
      starts += 1;
      const name = names().join('+');
      const log = join(logFolder, `${name}.log`);
      logs.push(log);
      const file = openSync(log, 'a');
      const preload = skewMs === 0 ? [] : ['--import', SKEW_PRELOAD];
      const started = spawn(process.execPath, [...preload, '--import', 'tsx', options.script], {
        cwd: root,
        env: { ...options.env(names()), CHAOS_CLOCK_SKEW_MS: String(skewMs) },
        stdio: ['ignore', file, file],
      });
      closeSync(file);
      child = started;
      for (const until = Date.now() + READY_DEADLINE_MS; Date.now() < until; await sleep(150)) {
        if (hasEnded(started)) throw new Error(`${name} ended by itself:\n${readFileSync(log, 'utf8').slice(-2_000)}`);
        if (await options.isReady(started.pid ?? 0).catch(() => false)) return void (isUp = true);
      }
      throw new Error(`${name} was not ready in time`);
    },
  };
}

/** What this machine's owner has set for a Perdure of their own must not reach the one that is tested. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(PERDURE|TEMPORAL)_|^(HOST|PORT)$/.test(name)),
  );
}

async function answersOk(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
  await response.body?.cancel();
  return response.ok;
}
