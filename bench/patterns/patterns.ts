import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT, startTemporal } from '../../test/support/temporal.ts';
import type { Channel, Surface } from './client.ts';
import { reservePort } from './ports.ts';
import { POLICY } from './settings.ts';
import { superviseScript, superviseTemporal } from './supervised.ts';
import type { Supervised } from './supervised.ts';

export interface Pattern {
  title: string;
  channel: Channel;
  surface: Surface;
  deploy: (agentUrl: string) => Promise<Deployment>;
}

/** A pattern that runs. */
export interface Deployment {
  /** Where its service listens. */
  port: number;
  processes: Supervised[];
  stop: () => Promise<void>;
}

const plainSurface: Surface = { submitPath: '/executions', statusPath: (id) => `/executions/${id}` };
const streamSurface: Surface = { ...plainSurface, eventsPath: (id) => `/executions/${id}/events` };
const perdureSurface: Surface = {
  submitPath: '/api/v1/execute/async/agent.work',
  statusPath: (id) => `/api/v1/executions/${id}`,
};

const once = { ATTEMPTS: '1' };
const again = { ATTEMPTS: String(POLICY.attempts) };

export const PATTERNS = {
  P1: {
    title: 'simple webhook',
    channel: 'webhook',
    surface: plainSurface,
    deploy: (agentUrl) => deployService('webhook', agentUrl, once),
  },
  P1r: {
    title: 'webhook, retried in process',
    channel: 'webhook',
    surface: plainSurface,
    deploy: (agentUrl) => deployService('webhook', agentUrl, again),
  },
  P3: {
    title: 'SSE + polling, state in memory',
    channel: 'stream, then polls',
    surface: streamSurface,
    deploy: (agentUrl) => deployService('stream', agentUrl, again),
  },
  P3d: {
    title: 'SSE + polling, database row',
    channel: 'stream, then polls',
    surface: streamSurface,
    deploy: deployWithDatabase,
  },
  P4: { title: 'Perdure', channel: 'webhook, then polls', surface: perdureSurface, deploy: deployPerdure },
} as const satisfies Record<string, Pattern>;
export type PatternName = keyof typeof PATTERNS;
export const PATTERN_NAMES = Object.keys(PATTERNS) as PatternName[];

async function deployService(name: string, agentUrl: string, env: Record<string, string>): Promise<Deployment> {
  const port = await reservePort();
  const service = await superviseScript({
    role: 'orchestrator',
    script: `bench/patterns/services/${name}.ts`,
    env: { ...env, PORT: String(port), AGENT_URL: `${agentUrl}/reasoners/work` },
    ready: { url: `http://127.0.0.1:${port}/health` },
  });
  return { port, processes: [service], stop: service.stop };
}

async function deployWithDatabase(agentUrl: string): Promise<Deployment> {
  const folder = await mkdtemp(join(tmpdir(), 'perdure-patterns-'));
  const removeFolder = () => rm(folder, { recursive: true, force: true });
  try {
    const deployment = await deployService('stream', agentUrl, { ...again, DATABASE: join(folder, 'executions.db') });
    return { ...deployment, stop: () => deployment.stop().then(removeFolder) };
  } catch (err) {
    await removeFolder();
    throw err;
  }
}

/** API, worker and a Temporal dev server, each a process that dies by itself. */
async function deployPerdure(agentUrl: string): Promise<Deployment> {
  // Building the CLI may take minutes the first time: it says so itself, on stderr.
  process.env.TEMPORAL_CLI_PATH ??= execFileSync(join(ROOT, 'temporal-dev.sh'), ['--cli-path'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  }).trim();
  const processes: Supervised[] = [];
  const stop = async () => {
    for (const process of processes.splice(0).toReversed()) await process.stop();
  };
  try {
    const temporal = await startTemporal();
    processes.push(superviseTemporal(temporal));
    const port = await reservePort();
    const url = `http://127.0.0.1:${port}`;
    const env = perdureEnvironment(temporal.address, agentUrl, url, port);
    const [api, worker] = await Promise.all([
      superviseScript({ role: 'api', script: 'api/main.ts', env, ready: { url: `${url}/health` } }),
      superviseScript({ role: 'orchestrator', script: 'worker/main.ts', env, ready: { says: 'worker polls' } }),
    ]);
    processes.push(api, worker);
    return { port, processes: [...processes], stop };
  } catch (err) {
    await stop();
    throw err;
  }
}

function perdureEnvironment(temporalAddress: string, agentUrl: string, url: string, port: number) {
  return {
    HOST: '127.0.0.1',
    PORT: String(port),
    TEMPORAL_ADDRESS: temporalAddress,
    PERDURE_PUBLIC_URL: url,
    PERDURE_AGENT_NODES: JSON.stringify({ agent: { url: agentUrl, timeout_ms: POLICY.agentTimeoutMs } }),
    PERDURE_SECRET_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    PERDURE_AGENT_MAX_ATTEMPTS: String(POLICY.attempts),
    PERDURE_AGENT_RETRY_INITIAL_MS: String(POLICY.agentRetryMs),
    PERDURE_AGENT_HEARTBEAT_TIMEOUT_MS: String(POLICY.perdureHeartbeatTimeoutMs),
    PERDURE_WEBHOOK_MAX_ATTEMPTS: String(POLICY.attempts),
    PERDURE_WEBHOOK_RETRY_INITIAL_MS: String(POLICY.webhookRetryMs),
    PERDURE_WEBHOOK_TIMEOUT_MS: String(POLICY.webhookTimeoutMs),
  };
}
