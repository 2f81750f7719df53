/** Suite `pollers`: what many clients that poll one execution cost Temporal. */
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../test/support/temporal.ts';
import { createBenchClient } from './client.ts';
import type { BenchClient } from './client.ts';
import { cpuBetween, readCpu } from './cpu.ts';
import type { CpuUse } from './cpu.ts';
import { startHeld } from './held.ts';
import { quantiles } from './reader-blocks.ts';
import { median } from './statistics.ts';
import { factLines, noiseLine } from './suite.ts';
import type { Suite } from './suite.ts';
import { number, table } from './table.ts';

const POLLERS = [1, 10, 100, 1000];
/** How often each of them asks. */
const EVERY_MS = 2_000;
const SECONDS = 20;
const QUICK_SECONDS = 4;
/** What an API asks Temporal to know how an execution is. */
const READS = ['GetWorkflowExecutionHistory', 'DescribeWorkflowExecution', 'QueryWorkflow'];

interface Block {
  pollers: number;
  pollMs: number[];
  /** Calls of Temporal in that time. */
  reads: number;
  cpu: CpuUse;
}

export const pollers: Suite = async ({ plan, startStand, say }) => {
  const rounds = plan.rounds ?? (plan.quick ? 1 : 5);
  const seconds = plan.quick ? QUICK_SECONDS : SECONDS;
  const metricsPort = await freePort();
  const stand = await startStand({ withBaseline: false, metricsPort });
  const http = createBenchClient();
  const { url } = await startHeld(http, `${stand.apiUrl}/api/v1`);
  const blocks: Block[] = [];
  for (let round = 1; round <= rounds; round++)
    for (const count of round % 2 === 1 ? POLLERS : POLLERS.toReversed()) {
      const before = { reads: await readsOf(metricsPort), cpu: readCpu(stand.pids()) };
      const pollMs = await pollFor(http, url, count, seconds);
      const cpu = cpuBetween(before.cpu, readCpu(stand.pids()));
      blocks.push({ pollers: count, pollMs, reads: (await readsOf(metricsPort)) - before.reads, cpu });
      say(
        `round ${round}/${rounds}  ${count} pollers: ${pollMs.length} polls, ${blocks.at(-1)?.reads} reads of Temporal`,
      );
    }
  await http.send(`${url}/cancel`, {});
  await http.close();
  return render(blocks, rounds, seconds);
};

async function pollFor(http: BenchClient, url: string, count: number, seconds: number): Promise<number[]> {
  const pollMs: number[] = [];
  const startedAt = performance.now();
  const poll = async (which: number) => {
    for (let n = 0; n < (seconds * 1000) / EVERY_MS; n++) {
      const dueInMs = startedAt + (n + which / count) * EVERY_MS - performance.now();
      if (dueInMs > 0) await sleep(dueInMs);
      const sentAt = performance.now();
      await http.send(url);
      pollMs.push(performance.now() - sentAt);
    }
  };
  await Promise.all(Array.from({ length: count }, (_, which) => poll(which)));
  return pollMs;
}

/** As the server's own metrics count them since it began. */
async function readsOf(metricsPort: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  const counted = /^service_requests\{(.*)\} (\S+)$/gm;
  let sum = 0;
  for (const [, labels = '', value] of text.matchAll(counted))
    if (labels.includes('service_name="frontend"') && READS.some((name) => labels.includes(`operation="${name}"`)))
      sum += Number(value);
  return sum;
}

function render(blocks: Block[], rounds: number, seconds: number): string {
  return [
    '## Pollers: many clients that ask how one execution is',
    '',
    ...factLines(),
    `- Blocks: ${rounds} of ${seconds} s for each number of pollers, alternating; each poller asks every ${EVERY_MS / 1000} s`,
    noiseLine(blocks.map(({ cpu }) => cpu)),
    '',
    table(
      ['pollers', 'polls per s', 'poll p50 ms', 'p99', 'reads of Temporal per block', 'CPU ms per poll: API', 'server'],
      POLLERS.map((count) => {
        const of = blocks.filter((block) => block.pollers === count);
        const polls = of.reduce((sum, { pollMs }) => sum + pollMs.length, 0);
        const cpuMs = (name: string) => of.reduce((sum, { cpu }) => sum + (cpu.processMs[name] ?? 0), 0) / polls;
        return [
          String(count),
          number(polls / of.length / seconds, 1),
          ...quantiles(of.flatMap(({ pollMs }) => pollMs)),
          number(median(of.map(({ reads }) => reads)), 0),
          number(cpuMs('api'), 2),
          number(cpuMs('server'), 2),
        ];
      }),
    ),
    '',
    `- Plain \`GET /executions/{id}\` of one execution without a webhook. Reads are what the server's metrics count of`,
    `  ${READS.join(', ')}.`,
    '',
  ].join('\n');
}
