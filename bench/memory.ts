/** Suite `memory`: resident memory of server, API and worker with executions in flight. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { createBenchClient, INPUT, WEBHOOK_SECRET } from './client.ts';
import { cpuBetween, readCpu } from './cpu.ts';
import { NODE_NAME } from './processes.ts';
import type { Stand } from './processes.ts';
import { factLines } from './suite.ts';
import type { Context, Suite } from './suite.ts';
import { number, table } from './table.ts';

const PARTS = ['server', 'api', 'worker'] as const;
type Resident = Record<(typeof PARTS)[number], number>;

interface Case {
  what: string;
  behaviour: 'hold' | 'hang';
  /** Measured at each of these, one after the other. */
  counts: number[];
}

/** So many executions end first: what a process needs to do any work at all is not counted. */
const WARM_UP = 100;
const SUBMITS_AT_A_TIME = 16;
/** Processes that use less of a core than this, for so long, have come to rest. A hung call goes on with heartbeats. */
const QUIET_PCT = 10;
const QUIET_MS = 3_000;
const MAX_SETTLE_MS = 60_000;
const DEADLINE_MS = 600_000;
/** A registration whose receiver nobody will ever call: the executions do not end. */
const WEBHOOK = { url: 'http://127.0.0.1:9/never', secret: WEBHOOK_SECRET };

export const memory: Suite = async (context) => {
  const { quick } = context.plan;
  const cases: Case[] = quick
    ? [
        { what: 'answered 202, silent', behaviour: 'hold', counts: [50, 100] },
        { what: 'hangs on an open connection', behaviour: 'hang', counts: [50] },
      ]
    : [
        { what: 'answered 202, silent', behaviour: 'hold', counts: [1_000, 4_000] },
        { what: 'hangs on an open connection', behaviour: 'hang', counts: [1_000] },
      ];
  const rows: string[][] = [];
  for (const each of cases) rows.push(...(await measure(each, context)));
  return render(rows);
};

async function measure({ what, behaviour, counts }: Case, { startStand, say }: Context): Promise<string[][]> {
  // A slot of the worker per open call: with the default of 500 the second half would wait and cost less.
  const slots = String(Math.max(500, ...counts) + 100);
  const stand = await startStand({ withBaseline: false, env: { PERDURE_MAX_CONCURRENT_ACTIVITIES: slots } });
  const http = createBenchClient();
  const submit = (target: string, body: unknown) =>
    http.send(`${stand.apiUrl}/api/v1/${target.replace('*', NODE_NAME)}`, body);
  await manyTimes(WARM_UP, () => submit('execute/*.echo', { input: INPUT }));
  await settle(stand);
  const before = residentOf(stand);

  const rows: string[][] = [];
  let submitted = 0;
  for (const count of counts) {
    await manyTimes(count - submitted, () =>
      submit(`execute/async/*.${behaviour}`, { input: INPUT, webhook: WEBHOOK }),
    );
    submitted = count;
    await untilCalled(stand, count);
    await settle(stand);
    const now = residentOf(stand);
    say(`${what}, ${count} in flight: ${PARTS.map((part) => `${part} ${mib(now[part])}`).join(', ')} MiB`);
    rows.push([
      `${count} in flight, agent ${what}`,
      ...PARTS.flatMap((part) => [mib(before[part]), mib(now[part]), kib((now[part] - before[part]) / count)]),
    ]);
  }
  await http.close();
  // Closed at once: the next case begins from nothing.
  await stand.stop();
  return rows;
}

async function manyTimes(count: number, run: () => Promise<unknown>): Promise<void> {
  let left = count;
  const lane = async () => {
    while (left-- > 0) await run();
  };
  await Promise.all(Array.from({ length: SUBMITS_AT_A_TIME }, lane));
}

async function untilCalled(stand: Stand, count: number): Promise<void> {
  for (const until = Date.now() + DEADLINE_MS; Date.now() < until; await sleep(200))
    if (Object.keys(await stand.agentCalls()).length >= count) return;
  throw new Error(`the agent was not called ${count} times`);
}

async function settle(stand: Stand): Promise<void> {
  for (const until = Date.now() + MAX_SETTLE_MS; Date.now() < until;) {
    const before = readCpu(stand.pids());
    await sleep(QUIET_MS);
    const { processMs } = cpuBetween(before, readCpu(stand.pids()));
    const busyMs = PARTS.reduce((sum, part) => sum + (processMs[part] ?? 0), 0);
    if ((100 * busyMs) / QUIET_MS < QUIET_PCT) return;
  }
}

function residentOf(stand: Stand): Resident {
  const pids = stand.pids();
  const sums = PARTS.map((part) => [part, [pids[part] ?? []].flat().reduce((sum, pid) => sum + residentKib(pid), 0)]);
  return Object.fromEntries(sums) as Resident;
}

export function residentKib(pid: number): number {
  if (process.platform === 'linux')
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN);
  return Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' }));
}

const mib = (sizeKib: number) => number(sizeKib / 1024, 0);
const kib = (sizeKib: number) => number(sizeKib, 1);

function render(rows: string[][]): string {
  const header = PARTS.flatMap((part) => [`${part}: before MiB`, 'then MiB', 'KiB per execution']);
  return [
    '## Memory: resident, per execution in flight',
    '',
    ...factLines(),
    `- Before: after ${WARM_UP} executions that have ended. Then: when all agents were called and the processes are at rest,`,
    `  or after ${MAX_SETTLE_MS / 1000} s`,
    '',
    table(['', ...header], rows),
    '',
    '- Each execution has about 260 bytes of input and a webhook; nobody reads it meanwhile, so the API follows none.',
    '- Garbage that is not collected yet counts, before and after: a delta of few executions is mostly that, and may be',
    '  negative. The worker keeps executions in its sticky cache up to a limit that follows from its heap; past it they',
    '  cost no memory, but a replay when something happens to them.',
    '- A call that stays open costs the worker a connection and a heartbeat every 5 s, and the server the write of it.',
    '',
  ].join('\n');
}
