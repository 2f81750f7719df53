import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../../start/ports.ts';
import { createBenchClient } from '../client.ts';
import { inheritedEnvironment, startPart, startScript, untilReady } from '../part.ts';
import { PEERS_DIR } from './install.ts';
import type { Peer } from './peer.ts';

/** One node of Restate with its default settings, and a service of its Node SDK. */
export async function startRestate(): Promise<Peer> {
  const binary = restateBinary();
  const baseDir = await mkdtemp(join(tmpdir(), 'perdure-restate-'));
  const [ingress = 0, admin = 0, fabric = 0, service = 0] = await freePorts(4, '127.0.0.1');
  const http = createBenchClient();
  const args = ['--base-dir', baseDir, '--node-name', 'bench', '--listen-mode', 'tcp', '--no-logo'];
  const server = startPart('restate-server', binary, [...args, '--log-filter', 'error,octocrab=off'], {
    cwd: baseDir,
    env: {
      ...inheritedEnvironment(),
      RESTATE_DISABLE_TELEMETRY: 'true',
      RESTATE_BIND_IP: '127.0.0.1',
      RESTATE_ADVERTISED_HOST: '127.0.0.1',
      RESTATE_BIND_PORT: String(fabric),
      RESTATE_INGRESS__BIND_PORT: String(ingress),
      RESTATE_ADMIN__BIND_PORT: String(admin),
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const worker = startScript('bench/peers/restate-service.mjs', { BENCH_PORT: String(service) });
  const stop = async () => {
    await http.close();
    await worker.stop();
    await server.stop();
    await rm(baseDir, { recursive: true, force: true });
  };
  try {
    await Promise.all([untilReady(`http://127.0.0.1:${admin}/health`, [server]), worker.message()]);
    await http.send(`http://127.0.0.1:${admin}/deployments`, { uri: `http://127.0.0.1:${service}` });
    await untilReady(`http://127.0.0.1:${ingress}/restate/health`, [server]);
  } catch (err) {
    await stop();
    throw err;
  }

  const handler = `http://127.0.0.1:${ingress}/bench/execute`;
  return {
    name: 'restate',
    title: 'D Restate',
    pids: () => ({ 'restate server': [server.pid], 'restate service': [worker.pid] }),
    call: async (work) => void (await http.send(handler, work)),
    submit: async (work) => {
      await http.send(`${handler}/send`, work, work.mayRepeat ? { 'idempotency-key': work.id } : {});
    },
    parts: { service: worker, 'restate-server': server },
    stop,
  };
}

export function hasRestate(): boolean {
  return existsSync(restateBinary());
}

export function restateVersion(): string {
  return execFileSync(restateBinary(), ['--version'], { encoding: 'utf8' }).trim();
}

/** The package of this platform holds the binary; the one it belongs to only finds it. */
function restateBinary(): string {
  const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
  const folder = `restate-server-${process.platform}-${arch}`;
  return join(PEERS_DIR, 'node_modules/@restatedev', folder, 'bin/restate-server');
}
