import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { webhookReceiver } from '../support/http-server.ts';
import { httpClient } from '../support/system.ts';
import { freePort, ROOT } from '../support/temporal.ts';

const UP_DEADLINE_MS = 120_000;

/** `npm start` as a newcomer runs it, on ports and in a data folder of its own. */
async function npmStart(t: TestContext, dataDir: string) {
  const port = await freePort();
  const { TEMPORAL_ADDRESS: _, ...inherited } = process.env;
  const child = spawn(process.execPath, ['--import', 'tsx', 'start/main.ts'], {
    cwd: ROOT,
    env: {
      ...inherited,
      PORT: String(port),
      PERDURE_DATA_DIR: dataDir,
      PERDURE_TEMPORAL_PORT: String(await freePort()),
      PERDURE_TEMPORAL_UI_PORT: String(await freePort()),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  t.after(async () => {
    if (child.exitCode === null) child.kill('SIGKILL');
    await ended;
  });
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not up in time: ${printed}`)), UP_DEADLINE_MS);
    const read = (data: Buffer) => {
      printed += data.toString();
      if (!/Ctrl-C stops everything/.test(printed)) return;
      clearTimeout(timer);
      resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    void ended.then((code) => reject(new Error(`ended with ${code}: ${printed}`)));
  });
  const pidOf = (name: string) => Number(new RegExp(`\\b${name} (\\d+)`).exec(printed)?.[1]);
  return {
    ...httpClient(`http://127.0.0.1:${port}`),
    pidOf,
    stop: () => {
      child.kill('SIGINT');
      return ended;
    },
  };
}

test('npm start: a sync call, a killed worker, a webhook, Ctrl-C, and a second start that finds it all', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'perdure-start-'));
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const receiver = await webhookReceiver(t, 204);

  const first = await npmStart(t, dataDir);
  const hello = await first.post('/api/v1/execute/hello-world.greet', { input: { name: 'Ada' } });
  assert.equal(hello.status, 200, hello.text);
  assert.match(JSON.stringify(hello.body.result), /Ada/);

  const researched = await first.post('/api/v1/execute/research-agent.deep_analysis', { input: { topic: 'webhooks' } });
  assert.equal(researched.status, 200, researched.text);

  const { body } = await first.post('/api/v1/execute/async/doc-processor.analyze', {
    input: { file: 'README.md', demo: { step_ms: 500 } },
    webhook: { url: receiver.url, secret: 's' },
  });
  process.kill(first.pidOf('worker'), 'SIGKILL');
  const analyzed = await first.end(body.execution_id);
  assert.equal(analyzed.status, 'succeeded', JSON.stringify(analyzed.error));
  assert.ok(analyzed.progress_pct > 0 && analyzed.result.summary);
  await receiver.waitFor(1);

  assert.equal(await first.stop(), 0);
  for (const name of ['temporal', 'worker', 'api', 'hello-world'])
    assert.throws(() => process.kill(first.pidOf(name), 0), { code: 'ESRCH' }, `${name} is gone`);

  const keys = await readFile(join(dataDir, 'secret-keys'), 'utf8');
  const second = await npmStart(t, dataDir);
  const found = await second.get(`/api/v1/executions/${body.execution_id}`);
  assert.equal(found.body.status, 'succeeded');
  assert.equal(await readFile(join(dataDir, 'secret-keys'), 'utf8'), keys, 'what was sealed can still be opened');
  assert.equal(await second.stop(), 0);
});
