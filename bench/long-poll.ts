/** Suite `long-poll`: from an event that an agent reports to the clients that wait for it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createBenchClient, INPUT } from './client.ts';
import type { BenchClient } from './client.ts';
import { cpuBetween, isNoisy, readCpu } from './cpu.ts';
import type { CpuUse } from './cpu.ts';
import { NODE_NAME } from './processes.ts';
import { quantile } from './statistics.ts';
import { factLines, noiseLine } from './suite.ts';
import type { Suite } from './suite.ts';
import { number, table } from './table.ts';

const READERS = [1, 10, 100];
/** So that every reader waits again when the next event comes. */
const PAUSE_MS = 50;

interface LongPollBlock {
  readers: number;
  /** From the callback to its 200: from then on it counts. */
  takenMs: number[];
  /** From the callback to the answer of each reader. */
  readMs: number[];
  cpu: CpuUse;
}

export const longPoll: Suite = async ({ plan, startStand, say }) => {
  const rounds = plan.rounds ?? (plan.quick ? 1 : 5);
  const events = plan.quick ? 10 : 50;
  const stand = await startStand({ withBaseline: false });
  const http = createBenchClient();
  const base = `${stand.apiUrl}/api/v1`;
  const blocks: LongPollBlock[] = [];
  for (let round = 1; round <= rounds; round++)
    for (const readers of round % 2 === 1 ? READERS : READERS.toReversed()) {
      const before = readCpu(stand.pids());
      const times = await runBlock(http, base, readers, events);
      blocks.push({ readers, ...times, cpu: cpuBetween(before, readCpu(stand.pids())) });
      say(`round ${round}/${rounds}  ${readers} readers: p50 ${quantile(times.readMs, 0.5).toFixed(1)} ms`);
    }
  await http.close();
  return render(blocks, { rounds, events });
};

async function runBlock(http: BenchClient, base: string, readers: number, events: number) {
  const { executionId } = await http.send(`${base}/execute/async/${NODE_NAME}.hold`, { input: INPUT });
  const url = `${base}/executions/${executionId}`;
  let { etag } = await untilRunning(http, url);
  const takenMs: number[] = [];
  const readMs: number[] = [];
  for (let event = 1; event <= events; event++) {
    // From the state before on, so that a reader that is late misses nothing.
    const waiting = Array.from({ length: readers }, async () => {
      const answer = await http.send(`${url}?wait=30`, undefined, { 'if-none-match': etag });
      return { answer, at: performance.now() };
    });
    await sleep(PAUSE_MS);
    const sentAt = performance.now();
    await http.send(`${url}/status`, { status: 'running', current_action: `step ${event}` });
    takenMs.push(performance.now() - sentAt);
    for (const { answer, at } of await Promise.all(waiting)) {
      const seen = (JSON.parse(answer.text) as { current_action: string | null }).current_action;
      if (seen !== `step ${event}`) throw new Error(`a reader saw ${seen} instead of step ${event}`);
      readMs.push(at - sentAt);
      etag = answer.etag;
    }
  }
  await http.send(`${url}/cancel`, {});
  return { takenMs, readMs };
}

async function untilRunning(http: BenchClient, url: string) {
  for (let tries = 0; tries < 100; tries++) {
    const answer = await http.send(`${url}?wait=1`);
    if ((JSON.parse(answer.text) as { status: string }).status === 'running') return answer;
  }
  throw new Error('the execution does not run');
}

function render(blocks: LongPollBlock[], { rounds, events }: { rounds: number; events: number }): string {
  const rows = READERS.map((readers) => {
    const all = blocks.filter((block) => block.readers === readers);
    const clean = all.filter(({ cpu }) => !isNoisy(cpu));
    const used = clean.length > 0 ? clean : all;
    const taken = used.flatMap(({ takenMs }) => takenMs);
    const read = used.flatMap(({ readMs }) => readMs);
    return [
      String(readers),
      ...[taken, read].flatMap((times) => [number(quantile(times, 0.5), 1), number(quantile(times, 0.99), 1)]),
      String(read.length),
      clean.length > 0 ? `${clean.length} of ${all.length}` : `${all.length} *`,
    ];
  });
  return [
    '## Long poll: from an event to those who wait for it',
    '',
    ...factLines(),
    `- Blocks: ${rounds} of ${events} events for each number of readers, alternating`,
    noiseLine(blocks.map(({ cpu }) => cpu)),
    '',
    table(['readers', 'callback taken p50 ms', 'p99', 'reader has it p50 ms', 'p99', 'answers', 'blocks'], rows),
    '',
    '- An agent posts progress; all readers wait in `GET /executions/{id}?wait=` on the one execution, through one API. Both',
    '  times are from the send of the callback: to its 200, when Temporal has recorded it, and to the answer of each',
    '  reader, its JSON included. Readers may have it before the agent has its 200.',
    '- All readers and the agent are one process: with 100 readers the answers queue there.',
    '',
  ].join('\n');
}
