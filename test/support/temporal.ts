import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Connection } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../../workflows/contract.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SERVING_DEADLINE_MS = 60_000;

/** A real Temporal dev server in a process of its own. */
export interface TemporalServer {
  address: string;
  pid: number;
  /** As a crash does it. */
  kill: () => Promise<void>;
  /** The same port and the same data file. */
  restart: () => Promise<void>;
  stop: () => Promise<void>;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** @param metricsPort where it tells its metrics; its own choice when left out */
export async function startTemporal({
  metricsPort,
}: { metricsPort?: number | undefined } = {}): Promise<TemporalServer> {
  const folder = await mkdtemp(join(tmpdir(), 'perdure-test-'));
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const metrics = metricsPort === undefined ? [] : ['--metrics-port', String(metricsPort)];
  let server = await launch();

  async function launch(): Promise<ChildProcess> {
    const child = spawn(
      join(ROOT, 'temporal-dev.sh'),
      ['--port', String(port), '--db', join(folder, 'temporal.db'), '--headless', '--log-level', 'error', ...metrics],
      { stdio: ['ignore', 'ignore', process.env.PERDURE_TEST_VERBOSE ? 'inherit' : 'ignore'] },
    );
    await waitUntilServing(address, child);
    return child;
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill(signal);
    await ended;
  }

  return {
    address,
    get pid() {
      return server.pid ?? 0;
    },
    kill: () => end('SIGKILL'),
    restart: async () => {
      server = await launch();
    },
    stop: async () => {
      await end('SIGKILL');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Serving, and with the search attributes in place: a start that uses one too early is refused. */
async function waitUntilServing(address: string, child: ChildProcess): Promise<void> {
  const wanted = Object.values(SEARCH_ATTRIBUTES).map((key) => key.name);
  const connection = Connection.lazy({ address });
  try {
    for (const until = Date.now() + SERVING_DEADLINE_MS; Date.now() < until; await sleep(100)) {
      if (child.exitCode !== null) throw new Error(`temporal-dev.sh ended with code ${child.exitCode}`);
      const found = await connection
        .withDeadline(Date.now() + 2_000, () =>
          connection.operatorService.listSearchAttributes({ namespace: 'default' }),
        )
        .catch(() => undefined);
      if (found && wanted.every((name) => name in (found.customAttributes ?? {}))) return;
    }
    throw new Error('Temporal did not start in time');
  } finally {
    await connection.close();
  }
}
