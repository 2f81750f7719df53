/** The agents in docs/agent-protocol.md run as they stand there. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';
import { freePort, ROOT } from '../support/temporal.ts';
import { until } from './support.ts';

const PAGE = readFileSync(join(ROOT, 'docs/agent-protocol.md'), 'utf8');
const MAX_LINES = 45;

/** The agents of the page in one language, as they stand there. */
function agentsIn(language: 'ts' | 'python'): string[] {
  return [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, code]) => code ?? '');
}

/** The one that has this reasoner. */
function agentWith(language: 'ts' | 'python', reasoner: string): string {
  const found = agentsIn(language).filter((code) => code.includes(`/reasoners/${reasoner}`));
  assert.equal(found.length, 1, `${found.length} agents in ${language} have ${reasoner}`);
  return found[0] ?? '';
}

/** Saves an agent as a reader would, starts it, and gives its address once it listens. */
async function startAgent(t: TestContext, language: 'ts' | 'python', code: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'perdure-documented-'));
  const file = join(folder, language === 'ts' ? 'agent.mts' : 'agent.py');
  writeFileSync(file, code);
  const port = await freePort();
  const [command, ...args] = language === 'ts' ? [process.execPath, '--import', 'tsx', file] : ['python3', file];
  const child = spawn(command, args, { cwd: ROOT, env: { ...process.env, PORT: String(port) } });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const closed = once(child, 'close');
  t.after(async () => {
    child.kill('SIGKILL');
    await closed;
    rmSync(folder, { recursive: true });
  });
  const url = `http://127.0.0.1:${port}`;
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(20)) {
    if (
      await fetch(url).then(
        () => true,
        () => false,
      )
    )
      return url;
    assert.equal(child.exitCode, null, stderr);
  }
  throw new Error(`it does not listen: ${stderr}`);
}

test('the smallest agents of the page do what it says', async (t) => {
  const [counter, reverser] = await Promise.all([
    startAgent(t, 'python', agentWith('python', 'count')),
    startAgent(t, 'ts', agentWith('ts', 'reverse')),
  ]);
  const system = await startSystem(t, { agentNodes: { counter, reverser } });
  const counted = await system.post('/api/v1/execute/counter.count', { input: { text: 'one two three' } });
  assert.deepEqual(counted.body.result, { words: 3 });
  const reversed = await system.post('/api/v1/execute/reverser.reverse', { input: { text: 'drawer' } });
  assert.deepEqual(reversed.body.result, { reversed: 'reward' });
});

for (const language of ['ts', 'python'] as const)
  test(`the steerable agent of the page (${language}) is short, follows messages, holds, and stops when asked`, async (t) => {
    const code = agentWith(language, 'shout');
    const lines = code.trimEnd().split('\n').length;
    assert.ok(lines <= MAX_LINES, `${lines} lines`);
    const shouter = await startAgent(t, language, code);
    const system = await startSystem(t, { agentNodes: { shouter } });

    const followed = await submit(system, 'one two three');
    const said = await whilePaused(system, followed, [
      { id: 'm1', text: 'and four' },
      { id: 'm2', data: 5 },
    ]);
    assert.deepEqual(said, { m1: 'applied', m2: 'rejected' });
    const { status, result, context_rev: rev } = await system.end(followed);
    assert.equal(status, 'succeeded');
    assert.deepEqual(result, { shouted: ['ONE', 'TWO', 'THREE', 'AND', 'FOUR'] });
    assert.equal(rev, 5, 'each word is shown when it is done');
    const { document } = (await system.get(`/api/v1/executions/${followed}/context`)).body;
    assert.deepEqual(document, result);

    const stopped = await submit(system, 'a '.repeat(1000));
    await until(system, stopped, ({ context_rev: shown }) => shown > 0);
    await system.post(`/api/v1/executions/${stopped}/cancel`, { grace_ms: 3_600_000 });
    const cancelled = await system.end(stopped);
    assert.equal(cancelled.status, 'cancelled');
    assert.ok(cancelled.partial_result.shouted.length > 0);
  });

async function submit(system: System, text: string): Promise<string> {
  const { status, body, text: answer } = await system.post('/api/v1/execute/async/shouter.shout', { input: { text } });
  assert.equal(status, 202, answer);
  return body.execution_id;
}

/** Holds an execution, says something to it, and lets it go on. @returns what became of each message */
async function whilePaused(system: System, id: string, messages: Body[]): Promise<Record<string, string>> {
  const path = `/api/v1/executions/${id}`;
  await system.running(id);
  await system.post(`${path}/pause`);
  for (const message of messages) assert.equal((await system.post(`${path}/messages`, message)).status, 202);
  const { status } = await until(system, id, (view) => view.open_messages === 0);
  assert.equal(status, 'paused');
  const { body } = await system.get(`${path}/messages`);
  await system.post(`${path}/resume`);
  return Object.fromEntries(body.messages.map((message: Body) => [message.id, message.status]));
}
