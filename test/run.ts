/**
 * Runs the tests: `npm test`, or `npm test -- test/api/execute.test.ts …`. Starts one real Temporal server for all
 * files (those that crash it start their own), bundles the workflows once, and hands the rest to node:test.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { bundleWorkflowCode } from '@temporalio/worker';
import { WORKFLOWS_PATH } from '../worker/start-worker.ts';
import { quietLogger } from './support/bundle.ts';
import { ROOT, startTemporal } from './support/temporal.ts';

const args = process.argv.slice(2);
const files = args.filter((arg) => !arg.startsWith('-'));
const options = args.filter((arg) => arg.startsWith('-'));

// Building the CLI may take minutes the first time: it says so itself, on stderr.
process.env.TEMPORAL_CLI_PATH ??= execFileSync(join(ROOT, 'temporal-dev.sh'), ['--cli-path'], {
  stdio: ['ignore', 'pipe', 'inherit'],
  encoding: 'utf8',
}).trim();

const folder = await mkdtemp(join(tmpdir(), 'perdure-bundle-'));
const server = await startTemporal();
let exitCode = 1;
try {
  const { code } = await bundleWorkflowCode({ workflowsPath: WORKFLOWS_PATH, logger: quietLogger });
  const bundle = join(folder, 'workflows.js');
  await writeFile(bundle, code);
  exitCode = await runNodeTest(bundle);
} finally {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}
process.exit(exitCode);

async function runNodeTest(bundle: string): Promise<number> {
  const all = files.length > 0 ? files : await testFiles();
  const child = spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      '--test',
      '--test-concurrency=2',
      '--test-timeout=300000',
      '--test-force-exit',
      '--test-reporter=spec',
      ...options,
      ...all,
    ],
    {
      cwd: ROOT,
      stdio: 'inherit',
      env: { ...process.env, PERDURE_TEST_TEMPORAL_ADDRESS: server.address, PERDURE_TEST_BUNDLE: bundle },
    },
  );
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
}

async function testFiles(): Promise<string[]> {
  const found = await readdir(join(ROOT, 'test'), { recursive: true });
  return found
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join('test', name))
    .toSorted();
}
