import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'node:test';
import type { Body, System } from '../support/system.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export type Env = Record<string, string>;

/** Starts an example as a process of its own, killed with the test. */
export function run(t: TestContext, file: string, env: Env = {}, args: string[] = []) {
  const [command, before] = file.endsWith('.py') ? ['python3', []] : [process.execPath, ['--import', 'tsx']];
  const child = spawn(command, [...before, file, ...args], {
    cwd: ROOT,
    env: { ...process.env, PORT: '0', HOST: '', ...env },
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const closed = once(child, 'close').then(([code]) => code as number | null);
  t.after(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  return { child, output, closed };
}

/** Waits until the example listens. */
export async function start(t: TestContext, file: string, env: Env = {}) {
  const process = run(t, file, env);
  const address = /listening on (http:\/\/127\.0\.0\.1:\d+)\n/;
  while (!address.test(process.output.stdout)) {
    const code = await Promise.race([once(process.child.stdout, 'data').then(() => undefined), process.closed]);
    if (code !== undefined) assert.fail(`${file} ended with ${code}: ${process.output.stderr}`);
  }
  return { ...process, url: address.exec(process.output.stdout)?.[1] ?? '' };
}

export function post(url: string, body: unknown, headers: Env = {}, signal?: AbortSignal): Promise<Response> {
  const raw = typeof body === 'string' ? body : JSON.stringify(body);
  const init = { method: 'POST', body: raw, headers: { 'content-type': 'application/json', ...headers } };
  return fetch(url, signal ? { ...init, signal } : init);
}

/** Waits until a process has printed this: what it prints may come later than what it answers. */
export async function printed({ child, output }: ReturnType<typeof run>, text: RegExp): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  while (!text.test(output.stdout)) await once(child.stdout, 'data', { signal });
}

/** Waits until an execution that goes on is so, and gives its view. */
export async function until(system: System, id: string, isSo: (view: Body) => boolean): Promise<Body> {
  let etag = '"none"';
  for (const deadline = Date.now() + 60_000; Date.now() < deadline;) {
    // A fetch with If-None-Match asks for no-cache unless told otherwise: that would be the workflow's own answer.
    const condition = { 'if-none-match': etag, 'cache-control': 'max-age=0' };
    const { body, headers } = await system.get(`/api/v1/executions/${id}?wait=20`, condition);
    etag = headers.get('etag') ?? etag;
    if (body && isSo(body)) return body;
    if (body) assert.equal(body.completed_at, null, JSON.stringify(body));
  }
  throw new Error(`${id} did not become so in time`);
}
