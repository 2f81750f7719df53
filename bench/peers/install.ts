import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const PEERS_DIR = fileURLToPath(new URL('.', import.meta.url));

/** The peers' packages, as their lock has them, unless they are there already. */
export function installPeers(say: (line: string) => void): void {
  if (isInstalled()) return;
  say('installing the peers into bench/peers');
  // Without scripts: theirs only report the installation to somebody.
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: PEERS_DIR,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** npm keeps a copy of the lock that it has installed; it lacks the root entry and what is for other platforms. */
function isInstalled(): boolean {
  try {
    const wanted = versions(join(PEERS_DIR, 'package-lock.json'));
    const present = versions(join(PEERS_DIR, 'node_modules/.package-lock.json'));
    return [...wanted].every(([path, { version, optional }]) => optional || present.get(path)?.version === version);
  } catch {
    return false;
  }
}

export function versionOf(name: string): string {
  return versions(join(PEERS_DIR, 'package-lock.json')).get(`node_modules/${name}`)?.version ?? 'unknown';
}

function versions(lockFile: string) {
  const { packages } = JSON.parse(readFileSync(lockFile, 'utf8')) as {
    packages: Record<string, { version?: string; optional?: boolean }>;
  };
  return new Map(Object.entries(packages).filter(([path]) => path !== ''));
}
