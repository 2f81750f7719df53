import { execFile, execFileSync } from 'node:child_process';
import { chownSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePorts } from '../start/ports.ts';
import { isProgram } from '../test/support/programs.ts';
import { inheritedEnvironment, startPart } from './part.ts';

/** The folder of a PostgreSQL's programs. */
export type PostgresBinaries = string & { readonly __brand: 'PostgresBinaries' };

export interface Postgres {
  readonly pid: number;
  port: number;
  user: string;
  urlOf: (database: string) => string;
  stop: () => Promise<void>;
}

export const POSTGRES_HINT = 'PostgreSQL was not found (Debian: apt-get install postgresql)';

const PROGRAMS = ['initdb', 'postgres', 'pg_isready'];
const DEBIAN_DIR = '/usr/lib/postgresql';
const USER = 'perdure';
const READY_DEADLINE_MS = 60_000;
const run = promisify(execFile);

/** On PATH, or where Debian keeps them, the newest first. */
export function findPostgres(): PostgresBinaries | undefined {
  const debian = listIfThere(DEBIAN_DIR)
    .toSorted((a, b) => Number(b) - Number(a))
    .map((version) => join(DEBIAN_DIR, version, 'bin'));
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...debian];
  return folders.find((folder) => PROGRAMS.every((program) => isProgram(join(folder, program)))) as
    | PostgresBinaries
    | undefined;
}

export function postgresVersion(binaries: PostgresBinaries): string {
  return execFileSync(join(binaries, 'postgres'), ['--version'], { encoding: 'utf8' }).trim();
}

/** An empty one with its default settings, fsync included, on a free port of loopback. */
export async function startPostgres(binaries: PostgresBinaries): Promise<Postgres> {
  const owner = unprivilegedUser();
  const folder = await mkdtemp(join(tmpdir(), 'perdure-postgres-'));
  if (owner) chownSync(folder, owner.uid, owner.gid);
  const options = { cwd: folder, env: inheritedEnvironment(), ...owner };
  const data = join(folder, 'data');
  await run(
    join(binaries, 'initdb'),
    ['-D', data, '-U', USER, '--auth=trust', '-E', 'UTF8', '--no-instructions'],
    options,
  );

  const [port = 0] = await freePorts(1, '127.0.0.1');
  // SIGINT is its fast shutdown: it does not wait for clients to leave.
  const part = startPart(
    'postgres',
    join(binaries, 'postgres'),
    ['-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='],
    { ...options, stdio: 'ignore' },
    'SIGINT',
  );
  const stop = async () => {
    await part.stop();
    await rm(folder, { recursive: true, force: true });
  };
  for (const until = Date.now() + READY_DEADLINE_MS; ; await sleep(100)) {
    const isUp = await run(join(binaries, 'pg_isready'), ['-h', '127.0.0.1', '-p', String(port)], options).then(
      () => true,
      () => false,
    );
    if (isUp) break;
    if (Date.now() < until && !part.hasEnded()) continue;
    await stop();
    throw new Error('PostgreSQL did not start');
  }
  return {
    get pid() {
      return part.pid;
    },
    port,
    user: USER,
    urlOf: (database) => `postgresql://${USER}@127.0.0.1:${port}/${database}`,
    stop,
  };
}

/** PostgreSQL refuses to run as root. */
function unprivilegedUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const idOf = (flag: string) => {
    for (const user of ['postgres', 'nobody']) {
      try {
        return Number(execFileSync('id', [flag, user], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
      } catch {
        continue;
      }
    }
    throw new Error('PostgreSQL does not run as root, and there is neither a user postgres nor nobody');
  };
  return { uid: idOf('-u'), gid: idOf('-g') };
}

function listIfThere(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
