import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SEARCH_ATTRIBUTES } from '../../workflows/contract.ts';
import { freePort, ROOT } from '../support/temporal.ts';
import { askServer, fakePath, run, SCRIPT, startScript, takenPort, tempFolder, temporalCli } from './support.ts';

const SERVER_TEST = { timeout: 120_000 };

test('--help names every option and ends well', async () => {
  const { code, stdout } = await run(SCRIPT, ['--help']);
  assert.equal(code, 0);
  for (const option of ['--port', '--ui-port', '--headless', '--db', '--in-memory', '--namespace', '--cli-path'])
    assert.match(stdout, new RegExp(`^ +${option} `, 'm'));
});

test('a wrong option is one line and exit code 2', async () => {
  for (const args of [['--bogus'], ['--port'], ['--port', 'many'], ['--port', '70000'], ['--log-level', 'loud']]) {
    const { code, stdout, stderr } = await run(SCRIPT, args);
    assert.equal(code, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, /^temporal-dev: .*\(see --help\)\n$/);
  }
});

test('a TEMPORAL_CLI_PATH that cannot be run is an error, not a reason to look elsewhere', async (t) => {
  const folder = await tempFolder(t);
  const notExecutable = join(folder, 'temporal');
  await writeFile(notExecutable, '#!/bin/sh\n', { mode: 0o644 });
  for (const path of ['/nowhere/temporal', notExecutable, folder]) {
    const { code, stdout, stderr } = await run(SCRIPT, ['--cli-path'], { ...process.env, TEMPORAL_CLI_PATH: path });
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.equal(stderr, `temporal-dev: TEMPORAL_CLI_PATH=${path} is not an executable file\n`);
  }
});

test('--cli-path prints TEMPORAL_CLI_PATH, and only that', async (t) => {
  const path = join(await tempFolder(t), 'temporal');
  await writeFile(path, '#!/bin/sh\n', { mode: 0o755 });
  const ended = await run(SCRIPT, ['--cli-path'], { ...process.env, TEMPORAL_CLI_PATH: path });
  assert.deepEqual(ended, { code: 0, stdout: `${path}\n`, stderr: '' });
});

test('temporal on PATH is taken if its server is new enough, and skipped with a line if not', async (t) => {
  const temporal = (server: string) => `#!/bin/sh\necho 'temporal version 0.0.0-DEV (Server ${server}, UI 2.50.1)'\n`;
  const env = { XDG_CACHE_HOME: await tempFolder(t), HOME: '/nowhere' };

  const recent = await fakePath(t, { temporal: temporal('1.31.2') });
  assert.equal((await run(SCRIPT, ['--cli-path'], { ...env, PATH: recent })).stdout, `${recent}/temporal\n`);

  const old = await fakePath(t, { temporal: temporal('1.9.4') });
  const { code, stdout, stderr } = await run(SCRIPT, ['--cli-path'], { ...env, PATH: old });
  assert.equal(code, 1);
  assert.equal(stdout, '');
  assert.match(stderr, /skipping .*\/temporal: it brings Temporal Server 1\.9, and 1\.31 or newer is needed/);
});

test('a download with another checksum is refused loudly and never kept', async (t) => {
  const cache = await tempFolder(t);
  const curl = `#!/bin/sh
while [ $# -gt 1 ]; do
  if [ "$1" = -o ]; then echo bogus >"$2"; fi
  shift
done
`;
  const env = { PATH: await fakePath(t, { curl }), XDG_CACHE_HOME: cache, HOME: '/nowhere' };
  const { code, stdout, stderr } = await run(SCRIPT, ['--cli-path'], env);
  assert.equal(code, 1);
  assert.equal(stdout, '');
  assert.match(stderr, /CHECKSUM MISMATCH/);
  assert.match(stderr, /no Temporal CLI: install Go 1\.\d+\.\d+ or newer and run this again, or set TEMPORAL_CLI_PATH/);
  assert.deepEqual(
    await readdir(join(cache, 'perdure', 'temporal-1.8.2')),
    [],
    'neither archive, CLI nor lock is left',
  );
});

test('a second process waits for the one that gets the CLI; a dead one is not waited for', async (t) => {
  const cache = await tempFolder(t);
  const folder = join(cache, 'perdure', 'temporal-1.8.2');
  await mkdir(folder, { recursive: true });
  const env = { PATH: await fakePath(t, {}), XDG_CACHE_HOME: cache, HOME: '/nowhere' };
  const lock = join(folder, 'lock');

  const gone = spawn('true');
  await once(gone, 'exit');
  await symlink(String(gone.pid), lock);
  assert.match((await run(SCRIPT, ['--cli-path'], env)).stderr, /taking over from process \d+, which is gone/);

  await symlink(String(process.pid), lock);
  const second = run(SCRIPT, ['--cli-path'], env);
  await sleep(1000);
  // What a finished build leaves: the file, moved into place.
  await writeFile(join(folder, 'temporal'), "#!/bin/sh\necho 'temporal version 1.8.2 (Server 1.31.2, UI 2.50.1)'\n", {
    mode: 0o755,
  });
  await run('rm', [lock]);
  const { code, stdout, stderr } = await second;
  assert.deepEqual({ code, stdout }, { code: 0, stdout: `${join(folder, 'temporal')}\n` });
  assert.match(stderr, new RegExp(`waiting for process ${process.pid}`));
});

test('the version that is downloaded is the one that is built', async () => {
  const goMod = await readFile(join(ROOT, 'temporal-cli/go.mod'), 'utf8');
  const finder = await readFile(join(ROOT, 'temporal-cli/find-cli.sh'), 'utf8');
  const version = /^CLI_VERSION=(\S+)/m.exec(finder)?.[1];
  assert.ok(version !== undefined && goMod.includes(`require github.com/temporalio/cli v${version}\n`));
});

test('a port in use is one line', async (t) => {
  const taken = String(await takenPort(t));
  const free = String(await freePort());
  const env = { ...process.env, TEMPORAL_CLI_PATH: '/bin/false' };
  const server = await run(SCRIPT, ['--port', taken, '--ui-port', free], env);
  assert.equal(server.code, 1);
  assert.equal(server.stderr, `temporal-dev: port ${taken} is in use: choose another one with --port\n`);
  const ui = await run(SCRIPT, ['--port', free, '--ui-port', taken], env);
  assert.equal(ui.code, 1);
  assert.equal(ui.stderr, `temporal-dev: port ${taken} is in use: choose another one with --ui-port\n`);
});

test('a new database has its search attributes and a retention of 30 days when it is ready', SERVER_TEST, async (t) => {
  const db = join(await tempFolder(t), 'private', 'temporal.db');
  const [port, uiPort] = [await freePort(), await freePort()];
  const env = { ...process.env, TEMPORAL_CLI_PATH: temporalCli() };
  const server = await startScript(t, ['--port', `${port}`, '--ui-port', `${uiPort}`, '--db', db], env);

  await assertPrepared(port, 'default');
  assert.equal((await stat(join(db, '..'))).mode & 0o777, 0o700);
  assert.equal((await stat(db)).mode & 0o777, 0o600);
  assert.equal((await fetch(`http://127.0.0.1:${uiPort}/`)).status, 200);
  const { stdout } = await run('ps', ['-o', 'args=', '-p', `${server.pid}`]);
  assert.match(stdout, /server start-dev/, 'the process that was started is the server itself');

  const other = await run(SCRIPT, ['--port', `${await freePort()}`, '--headless', '--db', db], env);
  assert.equal(other.code, 1);
  assert.equal(other.stderr, `temporal-dev: database ${db} is in use by process ${server.pid}\n`);
});

test('an older database gets what it lacks, and keeps a longer retention', SERVER_TEST, async (t) => {
  const db = join(await tempFolder(t), 'temporal.db');
  const [port, env] = [await freePort(), { ...process.env, TEMPORAL_CLI_PATH: temporalCli() }];
  await makeBareDatabase(db, port);
  const args = ['--port', `${port}`, '--headless', '--db', db, '--namespace', 'team'];

  const first = await startScript(t, args, env);
  await assertPrepared(port, 'team');
  await askServerToKeep(port, '2400h');
  await first.kill();

  await startScript(t, args, env);
  await assertPrepared(port, 'team', 2400);
});

/** Search attributes are there and can be queried; the retention is as said. */
async function assertPrepared(port: number, namespace: string, retentionHours = 720): Promise<void> {
  const names = Object.values(SEARCH_ATTRIBUTES).map((key) => key.name);
  const { customAttributes } = await askServer(port, 'operator', 'search-attribute', 'list', '--namespace', namespace);
  for (const name of names) assert.equal(customAttributes?.[name], 'INDEXED_VALUE_TYPE_KEYWORD', name);
  const query = names.map((name) => `${name} = 'x'`).join(' AND ');
  await askServer(port, 'workflow', 'count', '--namespace', namespace, '--query', query);
  const { config } = await askServer(port, 'operator', 'namespace', 'describe', '--namespace', namespace);
  assert.equal(config?.workflowExecutionRetentionTtl, `${retentionHours * 3600}s`);
}

async function askServerToKeep(port: number, retention: string): Promise<void> {
  const server = ['--address', `127.0.0.1:${port}`, '--disable-config-env', '--disable-config-file'];
  const update = ['operator', 'namespace', 'update', '--namespace', 'team', '--retention', retention];
  assert.equal((await run(temporalCli(), [...update, ...server])).code, 0);
}

/** As somebody leaves it who has started the dev server without the script. */
async function makeBareDatabase(db: string, port: number): Promise<void> {
  const args = ['server', 'start-dev', '--headless', '--ip', '127.0.0.1', '--namespace', 'team'];
  const bare = spawn(temporalCli(), [...args, '--port', `${port}`, '--db-filename', db], { stdio: 'ignore' });
  const ended = once(bare, 'exit');
  try {
    for (let attempt = 0; ; attempt++) {
      const found = await askServer(port, 'operator', 'search-attribute', 'list', '--namespace', 'team').catch(
        () => {},
      );
      if (found) {
        assert.equal(found.customAttributes?.PerdureTarget, undefined);
        break;
      }
      assert.ok(attempt < 200, 'the bare server did not start');
      await sleep(100);
    }
  } finally {
    bare.kill('SIGKILL');
    await ended;
  }
  await access(db);
}
