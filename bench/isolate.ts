import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';

/** Set in a benchmark that runs in a network of its own. */
const MARK = 'BENCH_ISOLATED';
/** A new network has a loopback, but it is down. */
const WITH_LOOPBACK = 'ip link set lo up && exec "$@"';

/**
 * Whether nothing that is started from here can reach anything but this machine. Restate's server asks the outside for
 * its newest version at every start, whatever its settings: what is measured must not depend on that, nor do it.
 */
export function isIsolated(): boolean {
  return process.env[MARK] !== undefined;
}

/** Runs this same benchmark again in a network of its own, and gives its exit code; undefined where that cannot be. */
export async function runIsolated(): Promise<number | undefined> {
  // Without root a user namespace is needed, in which one stays who one is: PostgreSQL refuses to run as root.
  const flags = process.getuid?.() === 0 ? ['--net'] : ['--map-current-user', '--keep-caps', '--net'];
  const inNetwork = [...flags, 'sh', '-c', WITH_LOOPBACK, 'sh'];
  try {
    execFileSync('unshare', [...inNetwork, 'true'], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  const child = spawn('unshare', [...inNetwork, process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, [MARK]: '1' },
  });
  // Ctrl-C reaches the child by itself, and a second one would end it before it has stopped what it started.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}
