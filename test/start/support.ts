import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { ROOT } from '../support/temporal.ts';

export const SCRIPT = join(ROOT, 'temporal-dev.sh');

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end. */
export async function run(command: string, args: string[], env: NodeJS.ProcessEnv = process.env): Promise<Ended> {
  const child = spawn(command, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** A running temporal-dev.sh, once it has said that all is ready. Killed after the test. */
export async function startScript(
  t: TestContext,
  args: string[],
  env: NodeJS.ProcessEnv,
): Promise<{ pid: number; kill: () => Promise<void> }> {
  const child = spawn(SCRIPT, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'exit');
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  t.after(kill);
  await new Promise<void>((resolve, reject) => {
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk;
      if (said.includes('temporal-dev: ready on ')) resolve();
    });
    child.once('exit', () => reject(new Error(`temporal-dev.sh ended: ${said}`)));
  });
  return { pid: child.pid ?? 0, kill };
}

let cliPath: string | undefined;

/** The Temporal CLI; building it may take minutes the first time. */
export function temporalCli(): string {
  cliPath ??=
    process.env.TEMPORAL_CLI_PATH ||
    execFileSync(SCRIPT, ['--cli-path'], { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' }).trim();
  return cliPath;
}

/** What the CLI answers as JSON about the server on a port. */
export async function askServer(port: number, ...args: string[]): Promise<Record<string, Record<string, unknown>>> {
  const server = ['--address', `127.0.0.1:${port}`, '--disable-config-env', '--disable-config-file'];
  const { stdout } = await promisify(execFile)(temporalCli(), [...args, ...server, '--output', 'json']);
  return JSON.parse(stdout) as Record<string, Record<string, unknown>>;
}

export async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'perdure-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A port with a listener on it. */
export async function takenPort(t: TestContext): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A PATH with the everyday tools and the given scripts, and without Go, temporal and a working curl. */
export async function fakePath(t: TestContext, scripts: Record<string, string>): Promise<string> {
  const folder = await tempFolder(t);
  for (const [name, text] of Object.entries(scripts)) await writeFile(join(folder, name), text, { mode: 0o755 });
  for (const tool of TOOLS) {
    const found = whereIs(tool);
    if (found !== undefined && !(tool in scripts)) await symlink(found, join(folder, tool));
  }
  return folder;
}

const TOOLS =
  'bash sh env dirname uname tr sed cut tail cat grep ps sleep mkdir ln readlink rm mv sha256sum shasum perl tar gzip'.split(
    ' ',
  );

function whereIs(tool: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.map((folder) => join(folder, tool)).find((path) => existsSync(path));
}
