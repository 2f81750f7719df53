import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { followLines, lastLines, openLog } from './log-file.ts';

const FIRST_RESTART_MS = 500;
const MAX_RESTART_MS = 10_000;
/** Who has lived this long has recovered: the next restart is a quick one again. */
const RECOVERED_AFTER_MS = 15_000;
const STOP_PATIENCE_MS = 15_000;

export interface ChildSpec {
  name: string;
  command: string;
  args: string[];
  env: NodeJS.ProcessEnv;
  /** Answers 200 once the child is of use. */
  healthUrl?: string;
  /** Perdure is of use without it. */
  optional?: boolean;
  onLogLine?: (line: string) => void;
}

export interface Child {
  name: string;
  optional: boolean;
  healthUrl: string | undefined;
  /** Undefined while it is down. */
  pid: () => number | undefined;
  /** Deaths in a row. */
  deaths: () => number;
  lastLines: () => string[];
  start: () => void;
  /** Asks it to end; insists after 15 seconds. */
  stop: () => Promise<void>;
  kill: () => void;
}

export interface ChildEvents {
  say: (line: string) => void;
  /** The set of living processes has changed. */
  changed: () => void;
}

/** A process that is started again whenever it ends. Its logs go to `<logDir>/<name>.log`. */
export function createChild(spec: ChildSpec, logDir: string, events: ChildEvents): Child {
  let log = openLog(join(logDir, `${spec.name}.log`));
  closeSync(log.fd);
  let pid: number | undefined;
  let deaths = 0;
  let isStopping = false;
  let restart: NodeJS.Timeout | undefined;
  let exited: Promise<void> = Promise.resolve();

  function start(): void {
    log = openLog(log.path);
    // A group of its own: Ctrl-C in a terminal reaches the supervisor only, which ends them in the right order.
    const child = spawn(spec.command, spec.args, {
      env: spec.env,
      stdio: ['ignore', log.fd, log.fd],
      detached: true,
    });
    closeSync(log.fd);
    const stopFollowing = spec.onLogLine && followLines(log, spec.onLogLine);
    const startedAt = Date.now();
    const endedPid = (pid = child.pid);
    exited = new Promise((resolve) => {
      const ended = (how: string, showLog: boolean): void => {
        // What it had started itself must not outlive it.
        if (endedPid !== undefined) signal(endedPid, 'SIGKILL');
        pid = undefined;
        stopFollowing?.();
        resolve();
        if (!isStopping) restartLater(Date.now() - startedAt, `${spec.name} (pid ${endedPid}) ${how}`, showLog);
        events.changed();
      };
      child.once('exit', (code, name) =>
        ended(name === null ? `ended with exit code ${code}` : `was killed by ${name}`, name === null && code !== 0),
      );
      // Only when it could not be spawned: then there is no exit.
      child.once('error', (err) => child.pid === undefined && ended(`cannot be started: ${err.message}`, false));
    });
    events.changed();
  }

  function restartLater(livedMs: number, whatHappened: string, showLog: boolean): void {
    deaths = livedMs >= RECOVERED_AFTER_MS ? 1 : deaths + 1;
    const lines = showLog ? lastLines(log, 5) : [];
    restart = setTimeout(
      () => {
        start();
        events.say(`${whatHappened}; started again as pid ${pid}`);
        for (const line of lines) events.say(`  ${line}`);
      },
      Math.min(FIRST_RESTART_MS * 2 ** (deaths - 1), MAX_RESTART_MS),
    );
  }

  return {
    name: spec.name,
    optional: spec.optional ?? false,
    healthUrl: spec.healthUrl,
    pid: () => pid,
    deaths: () => deaths,
    lastLines: () => lastLines(log, 10),
    start,
    async stop() {
      isStopping = true;
      clearTimeout(restart);
      if (pid === undefined) return;
      const stopping = pid;
      signal(stopping, 'SIGTERM');
      const insist = setTimeout(() => {
        events.say(`${spec.name} (pid ${stopping}) does not stop; killing it`);
        signal(stopping, 'SIGKILL');
      }, STOP_PATIENCE_MS);
      await exited;
      clearTimeout(insist);
    },
    kill() {
      isStopping = true;
      clearTimeout(restart);
      if (pid !== undefined) signal(pid, 'SIGKILL');
    },
  };
}

/** To the whole process group of a child. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name);
  } catch (err) {
    // Gone already. macOS says EPERM for a group of which only a zombie is left.
    const { code } = err as NodeJS.ErrnoException;
    if (code !== 'ESRCH' && code !== 'EPERM') throw err;
  }
}
