import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../../test/support/temporal.ts';
import type { TemporalServer } from '../../test/support/temporal.ts';
import { inheritedEnvironment } from '../part.ts';
import { FAULTS } from './settings.ts';

/** A process of an orchestrator under a supervisor that starts it again whenever it is gone. */
export interface Supervised {
  /** What it is to the trace. */
  role: string;
  whenUp: () => Promise<void>;
  /** Kills it with -9 and resolves once it serves again, with the time that took. */
  crash: () => Promise<number>;
  /** Ends that nobody planned. */
  accidents: () => number;
  stop: () => Promise<void>;
}

export interface ScriptOptions {
  role: string;
  script: string;
  env: Record<string, string>;
  /** An address that answers 2xx when it serves, or what it says on stdout. */
  ready: { url: string } | { says: string };
}

/** What runs now: to be stopped when the benchmark is interrupted. */
const running = new Set<Supervised>();

export async function stopEverything(): Promise<void> {
  await Promise.all([...running].map((process) => process.stop()));
}

function register(process: Supervised): Supervised {
  const registered: Supervised = {
    ...process,
    stop: async () => {
      running.delete(registered);
      await process.stop();
    },
  };
  running.add(registered);
  return registered;
}

const READY_DEADLINE_MS = 120_000;
const PROBE_MS = 20;

export async function superviseScript({ role, script, env, ready }: ScriptOptions): Promise<Supervised> {
  let child: ChildProcess | undefined;
  let up: Promise<void> = Promise.resolve();
  let isUp = false;
  let isStopped = false;
  let planned = 0;
  let ends = 0;

  async function start(): Promise<void> {
    const started = spawn(process.execPath, ['--import', 'tsx', script], {
      cwd: ROOT,
      env: { ...inheritedEnvironment(), ...env },
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    child = started;
    const ended = once(started, 'exit').then(() => 'ended' as const);
    void ended.then(restart);
    const isReady =
      'url' in ready
        ? untilAnswers(ready.url, () => started.exitCode ?? started.signalCode)
        : untilSays(started, ready.says);
    started.stdout?.resume();
    if ((await Promise.race([isReady, ended])) !== 'ended') isUp = true;
  }

  function restart(): void {
    isUp = false;
    if (isStopped) return;
    ends++;
    up = sleep(FAULTS.restartAfterMs).then(() => (isStopped ? undefined : start()));
    up.catch(() => undefined);
  }

  const whenUp = async () => {
    while (!isUp && !isStopped) await Promise.all([up, sleep(PROBE_MS)]);
  };
  const supervised = register({
    role,
    whenUp,
    accidents: () => ends - planned,
    crash: async () => {
      const killedAt = performance.now();
      planned++;
      isUp = false;
      child?.kill('SIGKILL');
      await whenUp();
      return performance.now() - killedAt;
    },
    stop: async () => {
      isStopped = true;
      const last = child;
      if (!last || last.exitCode !== null || last.signalCode !== null) return;
      const ended = once(last, 'exit');
      last.kill('SIGKILL');
      await ended;
    },
  });

  try {
    await start();
    if (!isUp) throw new Error(`${script} has ended`);
    return supervised;
  } catch (err) {
    await supervised.stop();
    throw err;
  }
}

export function superviseTemporal(server: TemporalServer): Supervised {
  let up = Promise.resolve();
  return register({
    role: 'server',
    whenUp: () => up,
    accidents: () => 0,
    crash: async () => {
      const killedAt = performance.now();
      up = server
        .kill()
        .then(() => sleep(FAULTS.restartAfterMs))
        .then(server.restart);
      await up;
      return performance.now() - killedAt;
    },
    // One that is just being restarted has to be there before it can be ended.
    stop: () => up.catch(() => undefined).then(server.stop),
  });
}

async function untilAnswers(url: string, hasEnded: () => unknown): Promise<void> {
  for (const until = Date.now() + READY_DEADLINE_MS; Date.now() < until && !hasEnded(); await sleep(PROBE_MS)) {
    const response = await fetch(url).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return;
  }
  throw new Error(`${url} does not answer`);
}

async function untilSays(child: ChildProcess, text: string): Promise<void> {
  let tail = '';
  await new Promise<void>((resolve) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      tail = (tail + chunk.toString('utf8')).slice(-4096);
      if (tail.includes(text)) resolve();
    });
  });
}
