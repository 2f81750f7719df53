import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** With a cold package index it is hundreds of megabytes. */
const INSTALL_LIMIT_MS = 280_000;

export type Python = { program: string } | { missing: string };

/** A Python that has this version of AgentField's SDK, made once for all test runs; or why there is none. */
export async function pythonWithAgentField(version: string): Promise<Python> {
  const found = await run('python3', ['-c', 'import sys, venv; print("%d.%d" % sys.version_info[:2])']).catch(
    () => undefined,
  );
  if (!found) return { missing: 'there is no python3 with venv' };
  const caches = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const folder = join(caches, 'perdure', `agentfield-${version}-python-${found.stdout.trim()}`);
  const program = join(folder, 'bin', 'python');
  // Written last: a folder without it was left by an installation that was interrupted.
  const complete = join(folder, 'complete');
  if (existsSync(complete)) return { program };
  console.log(`installing agentfield==${version} into ${folder}, once`);
  try {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await run('python3', ['-m', 'venv', folder]);
    // What is not imported need not be compiled, and that is most of it.
    const options = ['--quiet', '--disable-pip-version-check', '--no-input', '--no-compile', '--retries=2'];
    await run(program, ['-m', 'pip', 'install', ...options, `agentfield==${version}`], { timeout: INSTALL_LIMIT_MS });
    await writeFile(complete, '');
    return { program };
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    return {
      missing: `agentfield==${version} cannot be installed: ${stderr.trim().split('\n').at(-1) || String(error)}`,
    };
  }
}
