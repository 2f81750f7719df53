/** A Temporal server on PostgreSQL, one process, built from source: what the dev server on SQLite is compared with. */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Connection } from '@temporalio/client';
import { isPortFree } from '../start/ports.ts';
import { ROOT } from '../test/support/temporal.ts';
import { SEARCH_ATTRIBUTES } from '../workflows/contract.ts';
import { inheritedEnvironment, startPart } from './part.ts';
import { findPostgres, POSTGRES_HINT, startPostgres } from './postgres.ts';
import type { Postgres } from './postgres.ts';

export interface TemporalOnPostgres {
  address: string;
  readonly pid: number;
  postgres: Postgres;
  kill: () => Promise<void>;
  restart: () => Promise<void>;
  stop: () => Promise<void>;
}

/** The server of the CLI that `temporal-dev.sh` gets; the same as in temporal-postgres/go.mod. */
const VERSION = '1.31.2';
const MODULE_DIR = join(ROOT, 'bench/temporal-postgres');
const PACKAGES = ['go.temporal.io/server/cmd/server', 'go.temporal.io/server/cmd/tools/sql'];
const NAMESPACE = 'default';
const RETENTION_S = 24 * 3_600;
const KEYWORD = 2;
const READY_DEADLINE_MS = 90_000;
const SERVICES = ['frontend', 'matching', 'history', 'worker'] as const;
const run = promisify(execFile);

/** The reason where it cannot be had. */
export async function startTemporalOnPostgres(say: (line: string) => void): Promise<TemporalOnPostgres | string> {
  const binaries = findPostgres();
  if (!binaries) return POSTGRES_HINT;
  const programs = buildTemporalServer(say);
  if (!programs) return 'its server could not be built (Go 1.26 and the Go module proxy are needed)';

  const postgres = await startPostgres(binaries);
  const folder = await mkdtemp(join(tmpdir(), 'perdure-temporal-'));
  try {
    for (const database of ['temporal', 'visibility']) await makeSchema(programs.sql, postgres, database);
    const ports = await freeLowPorts(2 * SERVICES.length);
    const address = `127.0.0.1:${ports[0]}`;
    await writeFile(join(folder, 'dynamic.yaml'), dynamicConfig());
    await writeFile(join(folder, 'bench.yaml'), serverConfig(postgres, ports, join(folder, 'dynamic.yaml')));
    const server = startPart(
      'temporal-server',
      programs.server,
      ['--root', folder, '--config', '.', '--env', 'bench', 'start'],
      {
        cwd: folder,
        env: { ...inheritedEnvironment(), GOGC: process.env.GOGC ?? '400' },
        stdio: ['ignore', process.env.BENCH_VERBOSE ? 'inherit' : 'ignore', 'inherit'],
      },
    );
    const stop = async () => {
      await server.kill();
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    };
    try {
      await prepareNamespace(address, () => server.hasEnded());
    } catch (err) {
      await server.kill();
      throw err;
    }
    return {
      address,
      get pid() {
        return server.pid;
      },
      postgres,
      kill: () => server.kill(),
      restart: async () => {
        server.restart();
        await prepareNamespace(address, () => server.hasEnded());
      },
      stop,
    };
  } catch (err) {
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
    throw err;
  }
}

/** The server and its schema tool, built if they are not there yet; undefined where they cannot be. */
export function buildTemporalServer(say: (line: string) => void): { server: string; sql: string } | undefined {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'perdure', `temporal-server-${VERSION}`);
  const programs = { server: join(cache, 'server'), sql: join(cache, 'sql') };
  if (existsSync(programs.server) && existsSync(programs.sql)) return programs;
  say('building the Temporal server with Go: some minutes, once');
  // Renamed when it is whole: a build may be interrupted.
  const work = `${cache}.${process.pid}`;
  mkdirSync(work, { recursive: true });
  try {
    execFileSync('go', ['build', '-mod=readonly', '-trimpath', '-ldflags=-s -w', '-o', `${work}/`, ...PACKAGES], {
      cwd: MODULE_DIR,
      env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    rmSync(cache, { recursive: true, force: true });
    renameSync(work, cache);
    return programs;
  } catch (err) {
    say(`the build failed: ${err instanceof Error ? err.message : String(err)}`);
    rmSync(work, { recursive: true, force: true });
    return undefined;
  }
}

async function makeSchema(sql: string, { port, user }: Postgres, database: string): Promise<void> {
  const schema = `postgresql/v12/${database}`;
  const to = ['--plugin', 'postgres12', '--ep', '127.0.0.1', '-p', String(port), '-u', user, '--db', database];
  const options = { env: inheritedEnvironment() };
  await run(sql, [...to, 'create-database', '--defaultdb', 'postgres'], options);
  await run(sql, [...to, 'setup-schema', '-v', '0.0'], options);
  // The tool brings the schema files along.
  await run(sql, [...to, 'update-schema', '--schema-name', schema], options);
}

/** Members of the cluster are written to a column that holds no port above this. */
const MAX_MEMBERSHIP_PORT = 32_767;
const MIN_PORT = 20_000;

async function freeLowPorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count && tries < 1_000; tries++) {
    const port = MIN_PORT + Math.floor(Math.random() * (MAX_MEMBERSHIP_PORT - MIN_PORT));
    if (await isPortFree(port, '127.0.0.1')) ports.add(port);
  }
  return [...ports];
}

/** The settings of `temporal-dev.sh`, so that only the store differs. */
function dynamicConfig(): string {
  const settings: Record<string, number | boolean> = {
    // It asks the outside for newer versions otherwise.
    'frontend.enableServerVersionCheck': false,
    'history.transferProcessorMaxPollRPS': 5_000,
    'history.timerProcessorMaxPollRPS': 5_000,
    'system.enableActivityEagerExecution': true,
    'matching.numTaskqueueReadPartitions': 1,
    'matching.numTaskqueueWritePartitions': 1,
    'frontend.namespaceCount': 10_000,
    'frontend.rps': 50_000,
    'frontend.namespaceRPS': 50_000,
    'frontend.namespaceRPS.visibility': 500,
  };
  return Object.entries(settings)
    .map(([key, value]) => `${key}:\n  - value: ${value}\n`)
    .join('');
}

/** JSON is YAML. */
function serverConfig({ port, user }: Postgres, ports: number[], dynamicConfigFile: string): string {
  const store = (databaseName: string, maxConns: number) => ({
    sql: {
      pluginName: 'postgres12',
      databaseName,
      connectAddr: `127.0.0.1:${port}`,
      connectProtocol: 'tcp',
      user,
      password: '',
      maxConns,
      maxIdleConns: maxConns,
      maxConnLifetime: '1h',
    },
  });
  const rpc = (i: number) => ({
    rpc: { grpcPort: ports[2 * i], membershipPort: ports[2 * i + 1], bindOnLocalHost: true },
  });
  return JSON.stringify({
    log: { stdout: true, level: 'error' },
    persistence: {
      defaultStore: 'main',
      visibilityStore: 'visibility',
      numHistoryShards: 4,
      // Each of the four services has pools of its own, and PostgreSQL takes 100 connections by default.
      datastores: { main: store('temporal', 15), visibility: store('visibility', 5) },
    },
    global: { membership: { maxJoinDuration: '30s', broadcastAddress: '127.0.0.1' } },
    services: Object.fromEntries(SERVICES.map((service, i) => [service, rpc(i)])),
    clusterMetadata: {
      enableGlobalNamespace: false,
      failoverVersionIncrement: 10,
      masterClusterName: 'active',
      currentClusterName: 'active',
      clusterInformation: {
        active: {
          enabled: true,
          initialFailoverVersion: 1,
          rpcName: 'frontend',
          rpcAddress: `127.0.0.1:${ports[0]}`,
        },
      },
    },
    dcRedirectionPolicy: { policy: 'noop' },
    dynamicConfigClient: { filepath: dynamicConfigFile, pollInterval: '10s' },
  });
}

/** The namespace and its search attributes, as docs/operations.md has them made. */
async function prepareNamespace(address: string, hasEnded: () => boolean): Promise<void> {
  const names = Object.values(SEARCH_ATTRIBUTES).map((key) => key.name);
  const connection = Connection.lazy({ address });
  const retention = { seconds: RETENTION_S } as unknown as { seconds: never };
  const steps = async () => {
    await connection.workflowService
      .registerNamespace({ namespace: NAMESPACE, workflowExecutionRetentionPeriod: retention })
      .catch((err: unknown) => {
        if (!String(err).includes('ALREADY_EXISTS')) throw err;
      });
    await connection.operatorService
      .addSearchAttributes({
        namespace: NAMESPACE,
        searchAttributes: Object.fromEntries(names.map((name) => [name, KEYWORD])),
      })
      .catch((err: unknown) => {
        if (!String(err).includes('ALREADY_EXISTS')) throw err;
      });
  };
  try {
    for (const until = Date.now() + READY_DEADLINE_MS; Date.now() < until; await sleep(500)) {
      if (hasEnded()) throw new Error('the Temporal server on PostgreSQL has ended');
      const isDone = await connection.withDeadline(Date.now() + 10_000, steps).then(
        () => true,
        () => false,
      );
      if (isDone) return;
    }
    throw new Error('the Temporal server on PostgreSQL does not answer');
  } finally {
    await connection.close();
  }
}
