/** The agents of docs/sdk.md are short, and run as they stand there. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startSystem } from '../support/system.ts';
import { ROOT } from '../support/temporal.ts';
import { eventually } from './support.ts';

const PAGE = readFileSync(join(ROOT, 'docs/sdk.md'), 'utf8');
const LANGUAGES = [
  {
    fence: 'ts',
    file: 'agent.mts',
    library: 'typescript/perdure.ts',
    program: process.execPath,
    args: ['--import', 'tsx'],
  },
  { fence: 'python', file: 'agent.py', library: 'python/perdure.py', program: 'python3', args: [] },
];

for (const { fence, file, library, program, args } of LANGUAGES) {
  test(`the agent of the page (${fence})`, async (t) => {
    const code = new RegExp(`^\`\`\`${fence}\\n(.*?)^\`\`\``, 'ms').exec(PAGE)?.[1] ?? '';
    const lines = code.split('\n').filter((line) => line.trim() !== '').length;
    assert.ok(lines > 5 && lines <= 15, `${lines} lines`);
    const folder = mkdtempSync(join(tmpdir(), 'perdure-page-'));
    copyFileSync(join(ROOT, 'sdk', library), join(folder, library.replace(/.*\//, '')));
    writeFileSync(join(folder, file), code);
    const system = await startSystem(t, { agentNodes: {} });

    const env = { ...process.env, PERDURE_URL: system.url, PORT: '0' };
    const child = spawn(program, [...args, join(folder, file)], {
      cwd: ROOT,
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const closed = once(child, 'close');
    t.after(async () => {
      child.kill('SIGKILL');
      await closed;
      rmSync(folder, { recursive: true });
    });
    await eventually('it has registered', async () => {
      assert.equal(child.exitCode, null, 'it has ended');
      return (await system.get('/api/v1/nodes/researcher')).status === 200;
    });
    const input = { topics: ['tides', 'moons'] };
    const { body } = await system.post('/api/v1/execute/async/researcher.research', { input });
    const id: string = body.execution_id;
    assert.deepEqual((await system.end(id)).result, {
      tides: { length: 5, idempotencyKey: `${id}/read-0` },
      moons: { length: 5, idempotencyKey: `${id}/read-1` },
    });
    child.kill('SIGTERM');
    assert.deepEqual(await closed, [0, null]);
  });
}
