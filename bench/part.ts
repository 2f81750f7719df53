import { spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../test/support/temporal.ts';

/** A process of the benchmark. It can be killed as a crash does it, and be started again as it was. */
export interface Part {
  name: string;
  readonly pid: number;
  hasEnded: () => boolean;
  /** The first thing the process says over the channel. */
  message: <T>() => Promise<T>;
  kill: () => Promise<void>;
  restart: () => void;
  stop: () => Promise<void>;
}

const READY_DEADLINE_MS = 60_000;
const STOP_GRACE_MS = 5_000;

/**
 * A script of ours, or of a peer.
 * @param profiles folder that takes a CPU profile of each of its threads when it ends
 */
export function startScript(script: string, env: Record<string, string> = {}, profiles?: string): Part {
  const nodeOptions = profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`];
  return startPart(script, process.execPath, [...nodeOptions, '--import', 'tsx', script], {
    cwd: ROOT,
    env: { ...inheritedEnvironment(), ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
}

export function startPart(
  name: string,
  command: string,
  args: string[],
  options: SpawnOptions,
  stopSignal: NodeJS.Signals = 'SIGTERM',
): Part {
  let child = spawnTied(command, args, options);
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  return {
    name,
    get pid() {
      return child.pid ?? 0;
    },
    hasEnded,
    message: async <T>() => {
      const ended = once(child, 'exit').then(() => Promise.reject(new Error(`${name} has ended`)));
      const [message] = (await Promise.race([once(child, 'message'), ended])) as [T];
      return message;
    },
    kill: () => (hasEnded() ? Promise.resolve() : end(child, 'SIGKILL')),
    restart: () => {
      if (!hasEnded()) throw new Error(`${name} still runs`);
      child = spawnTied(command, args, options);
    },
    stop: () => (hasEnded() ? Promise.resolve() : end(child, stopSignal)),
  };
}

const alive = new Set<ChildProcess>();
// Whoever is interrupted in the middle of a start does not know yet what to stop.
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

function spawnTied(command: string, args: string[], options: SpawnOptions): ChildProcess {
  const child = spawn(command, args, options);
  alive.add(child);
  child.once('exit', () => alive.delete(child));
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
  await ended;
  clearTimeout(timer);
}

/** What this machine's owner has set for a Perdure of their own must not reach the one that is measured. */
export function inheritedEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(PERDURE|TEMPORAL|RESTATE|DBOS|PG)|^(HOST|PORT)$/.test(name)),
  );
}

/** Until a GET is answered with 2xx. */
export async function untilReady(url: string, parts: Part[] = [], pollMs = 100): Promise<void> {
  for (const until = Date.now() + READY_DEADLINE_MS; Date.now() < until; await sleep(pollMs)) {
    const ended = parts.find((part) => part.hasEnded());
    if (ended) throw new Error(`${ended.name} has ended`);
    const response = await fetch(url).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return;
  }
  throw new Error(`${url} does not answer`);
}
