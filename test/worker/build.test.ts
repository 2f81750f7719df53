import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { httpServer, sendJson } from '../support/http-server.ts';
import { startProcesses } from '../support/processes.ts';
import { temporalAddress } from '../support/system.ts';
import { ROOT } from '../support/temporal.ts';

test('npm run build makes an API and a worker that run as plain JavaScript, with their workflows bundled', async (t) => {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
  assert.ok(existsSync(join(ROOT, 'dist', 'worker', 'workflow-bundle.js')));
  const agent = await httpServer(t, (_request, response) => sendJson(response, 200, { built: true }));
  const { post, get } = await startProcesses(t, {
    address: temporalAddress(),
    agentNodes: { a: agent.url },
    nodeArguments: { api: ['dist/api/main.js'], worker: ['dist/worker/main.js'] },
  });
  const { status, body } = await post('/api/v1/execute/a.x');
  assert.equal(status, 200);
  assert.deepEqual(body.result, { built: true });
  assert.match((await get('/ui')).text, /<title>Executions/);
});
