import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ensureSecretKeys } from '../../start/secret-keys.ts';
import { readSettings } from '../../start/settings.ts';
import { parseSecretKeys } from '../../common/sealing.ts';
import { freePort, ROOT } from '../support/temporal.ts';
import { run, takenPort, tempFolder } from './support.ts';

const start = (args: string[], env: NodeJS.ProcessEnv = process.env) =>
  run(process.execPath, ['--import', 'tsx', 'start/main.ts', ...args], env);

const NO_CONFIG_FILE = { TEMPORAL_CONFIG_FILE: '/nowhere/temporal.toml' };

test('--help explains options and environment', async () => {
  const { code, stdout } = await start(['--help']);
  assert.equal(code, 0);
  for (const word of ['--no-examples', 'PORT', 'PERDURE_TEMPORAL_PORT', 'PERDURE_DATA_DIR', 'TEMPORAL_ADDRESS'])
    assert.ok(stdout.includes(word), word);
});

test('a wrong option is one line and exit code 2', async () => {
  const { code, stderr } = await start(['--bogus']);
  assert.equal(code, 2);
  assert.equal(stderr, 'perdure: unknown option --bogus (see npm start -- --help)\n');
});

test('a port in use is one line that says what to set, and nothing is started', async (t) => {
  const taken = String(await takenPort(t));
  const dataDir = join(await tempFolder(t), 'data');
  const free = {
    PORT: String(await freePort()),
    PERDURE_TEMPORAL_PORT: String(await freePort()),
    PERDURE_TEMPORAL_UI_PORT: String(await freePort()),
  };
  const { TEMPORAL_ADDRESS: _, ...env } = process.env;
  for (const variable of Object.keys(free)) {
    const { code, stdout, stderr } = await start([], {
      ...env,
      ...NO_CONFIG_FILE,
      ...free,
      [variable]: taken,
      PERDURE_DATA_DIR: dataDir,
    });
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(stderr, new RegExp(`^perdure: port ${taken} of the .* is in use: .* set ${variable}\n$`));
  }
  await assert.rejects(stat(dataDir), { code: 'ENOENT' });
});

test('settings that cannot be used are one line each', async () => {
  for (const env of [
    { PORT: '0' },
    { PORT: 'http' },
    { PERDURE_TEMPORAL_PORT: '99999' },
    { PORT: '9100', PERDURE_TEMPORAL_PORT: '9100' },
    { PERDURE_AGENT_NODES: '[]' },
    { PERDURE_AGENT_NODES_FILE: '/nowhere/nodes.json' },
    { TEMPORAL_PROFILE: 'missing' },
  ]) {
    const { code, stderr } = await start([], { ...process.env, TEMPORAL_ADDRESS: '', ...env });
    assert.equal(code, 1, JSON.stringify(env));
    assert.match(stderr, /^perdure: .+\n$/, JSON.stringify(env));
  }
});

test('what worker or API could not use is said before anything is started, by the name of the variable', async (t) => {
  const env = {
    ...process.env,
    PORT: String(await freePort()),
    TEMPORAL_ADDRESS: '127.0.0.1:1',
    PERDURE_DATA_DIR: await tempFolder(t),
  };
  for (const [name, value] of [
    ['PERDURE_DATA_DIR', process.execPath],
    ['PERDURE_PUBLIC_URL', 'not a url'],
    ['PERDURE_SECRET_KEYS', 'short'],
    ['PERDURE_SECRET_KEYS_FILE', '/nowhere/keys'],
    ['PERDURE_WEBHOOK_TIMEOUT_MS', 'soon'],
    ['PERDURE_MAX_CONCURRENT_ACTIVITIES', '0'],
    ['PERDURE_AGENT_NODES', '{"mine":"ftp://127.0.0.1"}'],
  ] as const) {
    const { code, stdout, stderr } = await start([], { ...env, [name]: value });
    assert.equal(code, 1, name);
    assert.match(stderr, new RegExp(`^perdure: ${name}\\b.+\\n$`), name);
    assert.equal(stdout, '', name);
  }
});

test('an old Node gets one line that newer syntax could not give it', async () => {
  const file = join(ROOT, 'start/require-node.cjs');
  const asVersion = (version: string) =>
    run(process.execPath, [
      '-e',
      `Object.defineProperty(process, 'version', { value: '${version}' }); require(${JSON.stringify(file)})`,
    ]);
  for (const old of ['v0.10.48', 'v8.17.0', 'v18.20.8', 'v20.18.3']) {
    const { code, stdout, stderr } = await asVersion(old);
    assert.equal(code, 1, old);
    assert.equal(stdout, '');
    assert.match(stderr, new RegExp(`^Perdure needs Node 20\\.19 or newer; this is Node ${old}\\..*\n$`));
  }
  for (const recent of ['v20.19.0', 'v22.0.0', 'v24.21.0']) assert.equal((await asVersion(recent)).code, 0, recent);
});

test('a Temporal address in the environment or in a config file means that no server is started', async (t) => {
  const config = join(await tempFolder(t), 'temporal.toml');
  await writeFile(config, '[profile.default]\naddress = "temporal.example:7233"\nnamespace = "team"\n');
  const external = (address: string) => ({ embedded: false, address });
  assert.deepEqual(readSettings({ TEMPORAL_CONFIG_FILE: config }).temporal, external('temporal.example:7233'));
  assert.deepEqual(readSettings({ ...NO_CONFIG_FILE, TEMPORAL_ADDRESS: 'a:1' }).temporal, external('a:1'));
  const { temporal } = readSettings({ ...NO_CONFIG_FILE, TEMPORAL_ADDRESS: '', TEMPORAL_NAMESPACE: 'team' });
  assert.deepEqual(temporal, { embedded: true, port: 7233, uiPort: 8233, namespace: 'team' });
});

test('agents are told an address that they can reach', () => {
  const urls = (env: NodeJS.ProcessEnv) => {
    const { publicUrl, localUrl } = readSettings({ ...NO_CONFIG_FILE, PORT: '9000', ...env });
    return [publicUrl, localUrl];
  };
  assert.deepEqual(urls({}), ['http://127.0.0.1:9000', 'http://localhost:9000']);
  assert.deepEqual(urls({ HOST: '0.0.0.0' }), ['http://127.0.0.1:9000', 'http://localhost:9000']);
  assert.deepEqual(urls({ HOST: 'fe80::1' }), ['http://[fe80::1]:9000', 'http://[fe80::1]:9000']);
  assert.deepEqual(urls({ PERDURE_PUBLIC_URL: 'https://p.example' }), ['https://p.example', 'http://localhost:9000']);
});

test('the secret keys are made once, and for the owner only', async (t) => {
  const file = join(await tempFolder(t), 'data', 'secret-keys');
  ensureSecretKeys(file);
  const made = await readFile(file, 'utf8');
  assert.match(made, /^k1:[A-Za-z0-9+/]{43}=\n$/);
  assert.equal(parseSecretKeys(made).size, 1);
  assert.equal((await stat(file)).mode & 0o777, 0o600);

  await writeFile(file, 'old:c2VjcmV0\n');
  ensureSecretKeys(file);
  assert.equal(await readFile(file, 'utf8'), 'old:c2VjcmV0\n');
  assert.deepEqual(await readdir(join(file, '..')), ['secret-keys']);
});

test('a supervisor that is gone takes its children with it, unless it left in order', async (t) => {
  const afterwards = async (lastWords: string): Promise<string | null> => {
    const child = spawn('sleep', ['60'], { stdio: 'ignore', detached: true });
    t.after(() => child.kill('SIGKILL'));
    const guard = spawn('sh', [join(ROOT, 'start/guard.sh')], { stdio: ['pipe', 'ignore', 'ignore'] });
    guard.stdin.end(`${child.pid}|\n${lastWords}`);
    await once(guard, 'exit');
    return child.signalCode;
  };
  assert.equal(await afterwards(''), 'SIGTERM');
  assert.equal(await afterwards('|\n'), null);
});
