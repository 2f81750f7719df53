import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Ends the children if the supervisor is killed in a way it cannot react to; see guard.sh. */
export interface Guard {
  /** Process groups to end: those of `first`, and `last` when these are gone. */
  watch: (first: (number | undefined)[], last: (number | undefined)[]) => void;
  dismiss: () => void;
}

export function createGuard(): Guard {
  const guard = spawn('sh', [fileURLToPath(new URL('guard.sh', import.meta.url))], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Without a guard all else works; somebody may have killed it.
  guard.on('error', () => {});
  guard.stdin.on('error', () => {});
  guard.unref();
  const list = (pids: (number | undefined)[]): string => pids.filter((pid) => pid !== undefined).join(' ');
  return {
    watch: (first, last) => void guard.stdin.write(`${list(first)}|${list(last)}\n`),
    dismiss: () => void guard.stdin.end('|\n'),
  };
}
