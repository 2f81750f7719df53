/** Suite `start-up`: from the start of a process to the first thing it does for a user. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts } from '../start/ports.ts';
import { ROOT } from '../test/support/temporal.ts';
import { createBenchClient, INPUT } from './client.ts';
import { inheritedEnvironment, startPart } from './part.ts';
import type { Part } from './part.ts';
import { NODE_NAME } from './processes.ts';
import type { Stand } from './processes.ts';
import { median } from './statistics.ts';
import { factLines } from './suite.ts';
import type { Context, Suite } from './suite.ts';
import { number, table } from './table.ts';

const POLL_MS = 10;
const DEADLINE_MS = 120_000;

export const startUp: Suite = async (context) => {
  const { plan, startStand, say } = context;
  const rounds = plan.rounds ?? (plan.quick ? 1 : 5);
  const stand = await startStand({ withBaseline: false });
  const http = createBenchClient();
  const submit = (way: string) => http.send(`${stand.apiUrl}/api/v1/${way}/${NODE_NAME}.echo`, { input: INPUT });

  const times: Record<string, number[]> = { api: [], worker: [], system: [] };
  for (let round = 1; round <= rounds; round++) {
    times.api?.push(await restartTime(stand.apis, () => submit('execute/async')));
    times.worker?.push(await workerTime(stand, submit, http));
    times.system?.push(await systemTime(context));
    say(
      `round ${round}/${rounds}  ${Object.entries(times)
        .map(([what, ms]) => `${what} ${ms.at(-1)?.toFixed(0)} ms`)
        .join(', ')}`,
    );
  }
  await http.close();
  return render(times, rounds);
};

async function restartTime(parts: Part[], tryIt: () => Promise<unknown>): Promise<number> {
  for (const part of parts) await part.stop();
  const startedAt = performance.now();
  for (const part of parts) part.restart();
  await untilSuccess(tryIt);
  return performance.now() - startedAt;
}

/** The first success of a worker: an execution that has waited for one has ended. */
async function workerTime(
  stand: Stand,
  submit: (way: string) => Promise<{ executionId: string }>,
  http: ReturnType<typeof createBenchClient>,
): Promise<number> {
  for (const part of stand.workers) await part.stop();
  const { executionId } = await submit('execute/async');
  return restartTime(stand.workers, async () => {
    const { text } = await http.send(`${stand.apiUrl}/api/v1/executions/${executionId}?wait=30`);
    if ((JSON.parse(text) as { status: string }).status !== 'succeeded') throw new Error('not yet');
  });
}

/** `npm start` without npm, in an empty folder: Temporal with its database, API, worker, agents. */
async function systemTime({ stopAtEnd }: Context): Promise<number> {
  const dataDir = await mkdtemp(join(tmpdir(), 'perdure-start-'));
  const [port = 0, temporalPort = 0, uiPort = 0] = await freePorts(3, '127.0.0.1');
  const http = createBenchClient();
  const startedAt = performance.now();
  const system = stopAtEnd(
    startPart('npm start', process.execPath, ['--import', 'tsx', 'start/main.ts'], {
      cwd: ROOT,
      env: {
        ...inheritedEnvironment(),
        TEMPORAL_CLI_PATH: process.env.TEMPORAL_CLI_PATH,
        PERDURE_DATA_DIR: dataDir,
        PORT: String(port),
        PERDURE_TEMPORAL_PORT: String(temporalPort),
        PERDURE_TEMPORAL_UI_PORT: String(uiPort),
      },
      stdio: ['ignore', 'ignore', 'inherit'],
    }),
  );
  const url = `http://127.0.0.1:${port}/api/v1/execute/hello-world.greet`;
  try {
    await untilSuccess(() => http.send(url, { input: { name: 'Ada' } }), system);
    return performance.now() - startedAt;
  } finally {
    await http.close();
    await system.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function untilSuccess(tryIt: () => Promise<unknown>, part?: Part): Promise<void> {
  for (const until = Date.now() + DEADLINE_MS; Date.now() < until; await sleep(POLL_MS)) {
    if (part?.hasEnded()) throw new Error(`${part.name} has ended`);
    const isDone = await tryIt().then(
      () => true,
      () => false,
    );
    if (isDone) return;
  }
  throw new Error('no success in time');
}

const ROWS: Record<string, string> = {
  api: 'API: to a submit that is answered 202',
  worker: 'worker: to the end of an execution that was waiting for it',
  system: '`npm start` in an empty folder: to the result of a synchronous call',
};

function render(times: Record<string, number[]>, rounds: number): string {
  const rows = Object.entries(times).map(([what, ms]) => [
    ROWS[what] ?? what,
    number(median(ms), 0),
    number(Math.min(...ms), 0),
    number(Math.max(...ms), 0),
  ]);
  return [
    '## Start-up: from the start of a process to its first success',
    '',
    ...factLines(),
    `- Starts: ${rounds} of each, the first included; the files are in the page cache`,
    '',
    table(['', 'median ms', 'least', 'most'], rows),
    '',
    '- Processes run TypeScript through tsx, as `npm run api` and `npm run worker` do, without npm itself. The worker',
    '  bundles the workflows when it starts. Temporal and the other parts run already, except in the last line, which',
    '  also makes the database and starts the example agents.',
    '',
  ].join('\n');
}
