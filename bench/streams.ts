/** Suite `streams`: from an event that an agent reports to those who follow the execution by its event stream. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createBenchClient } from './client.ts';
import type { BenchClient } from './client.ts';
import { cpuBetween, readCpu } from './cpu.ts';
import type { CpuUse } from './cpu.ts';
import { createEventReaders } from './event-readers.ts';
import { startHeld } from './held.ts';
import { residentKib } from './memory.ts';
import type { Stand } from './processes.ts';
import { quantiles, readerRows, runReaderBlocks, sizeOf } from './reader-blocks.ts';
import type { ReaderBlock, Times } from './reader-blocks.ts';
import { quantile } from './statistics.ts';
import { factLines, noiseLine } from './suite.ts';
import type { Suite } from './suite.ts';
import { number, table } from './table.ts';

/** Many streams at once: so many executions, readers of each, and events per second and execution. */
const CROWD = { executions: 100, readers: 10, perSecond: 10, seconds: 15 };
const QUICK_CROWD = { executions: 10, readers: 10, perSecond: 10, seconds: 3 };
const DRAIN_MS = 30_000;

export const streams: Suite = async ({ plan, startStand, say }) => {
  const { rounds, events } = sizeOf(plan);
  const stand = await startStand({ withBaseline: false, env: { PERDURE_MAX_STREAMS: '5000' } });
  const http = createBenchClient();
  const base = `${stand.apiUrl}/api/v1`;
  const blocks = await runReaderBlocks(stand, rounds, (readers) => oneExecution(http, base, readers, events), say);
  const crowd = await manyExecutions(http, stand, plan.quick ? QUICK_CROWD : CROWD);
  say(`${crowd.connections} streams: p50 ${quantile(crowd.delayMs, 0.5).toFixed(1)} ms, lost ${crowd.lost}`);
  await http.close();
  return render(blocks, crowd, { rounds, events });
};

async function oneExecution(http: BenchClient, base: string, readers: number, events: number): Promise<Times> {
  const { url } = await startHeld(http, base);
  const streaming = createEventReaders();
  const readMs: number[] = [];
  let sentAt = 0;
  let got = 0;
  let allHaveIt = () => {};
  const onStep = (_: string, at: number) => {
    readMs.push(at - sentAt);
    got += 1;
    if (got === readers) allHaveIt();
  };
  await Promise.all(Array.from({ length: readers }, () => streaming.open(`${url}/events`, onStep)));
  const takenMs: number[] = [];
  for (let event = 1; event <= events; event++) {
    got = 0;
    const everywhere = new Promise<void>((resolve) => (allHaveIt = resolve));
    sentAt = performance.now();
    await http.send(`${url}/events`, { type: 'step', kind: 'message', name: `step ${event}` });
    takenMs.push(performance.now() - sentAt);
    await everywhere;
    // As an agent that works: the pause between two signals of one execution is not what is measured.
    await sleep(150);
  }
  streaming.close();
  await http.send(`${url}/cancel`, {});
  return { takenMs, readMs };
}

interface CrowdResult {
  connections: number;
  sent: number;
  lost: number;
  repeated: number;
  seconds: number;
  requests: number;
  /** From when an event is said to the 200 of the callback that brings it. */
  takenMs: number[];
  /** From the 200 of the callback to the reader; an event may be there before it. */
  delayMs: number[];
  kibPerStream: number;
  cpu: CpuUse;
}

async function manyExecutions(http: BenchClient, stand: Stand, crowd: typeof CROWD): Promise<CrowdResult> {
  const base = `${stand.apiUrl}/api/v1`;
  const held = await Promise.all(Array.from({ length: crowd.executions }, () => startHeld(http, base)));
  const urls = held.map(({ url }) => url);
  const apiPid = Number([stand.pids().api].flat()[0]);
  const idleKib = residentKib(apiPid);
  const streaming = createEventReaders();
  /** By the name of a step: when it was taken, and when each reader got it. */
  const takenAt = new Map<string, number>();
  const gotAt = new Map<string, number[]>();
  const onStep = (name: string, at: number) => {
    const times = gotAt.get(name);
    if (times) times.push(at);
    else gotAt.set(name, [at]);
  };
  for (const url of urls)
    await Promise.all(Array.from({ length: crowd.readers }, () => streaming.open(`${url}/events`, onStep)));
  const connections = crowd.executions * crowd.readers;
  const kibPerStream = (residentKib(apiPid) - idleKib) / connections;

  const takenMs: number[] = [];
  let requests = 0;
  const before = readCpu(stand.pids());
  const startedAt = performance.now();
  const talk = async (url: string, which: number) => {
    const saidAt = new Map<string, number>();
    let waiting: string[] = [];
    let sending: Promise<void> | undefined;
    // One request at a time with all that was said meanwhile, as a client for agents does it.
    const send = async () => {
      while (waiting.length > 0) {
        const names = waiting;
        waiting = [];
        requests += 1;
        await http.send(`${url}/events`, { events: names.map((name) => ({ type: 'step', kind: 'message', name })) });
        const at = performance.now();
        for (const name of names) {
          takenAt.set(name, at);
          takenMs.push(at - (saidAt.get(name) ?? at));
        }
      }
      sending = undefined;
    };
    for (let i = 0; i < crowd.perSecond * crowd.seconds; i++) {
      const dueInMs = startedAt + ((i + which / crowd.executions) * 1000) / crowd.perSecond - performance.now();
      if (dueInMs > 0) await sleep(dueInMs);
      const name = `${which}/${i}`;
      saidAt.set(name, performance.now());
      waiting.push(name);
      sending ??= send();
    }
    await sending;
  };
  await Promise.all(urls.map(talk));
  const seconds = (performance.now() - startedAt) / 1000;
  const isComplete = () => [...takenAt.keys()].every((name) => gotAt.get(name)?.length === crowd.readers);
  for (const until = performance.now() + DRAIN_MS; performance.now() < until && !isComplete();) await sleep(100);
  const cpu = cpuBetween(before, readCpu(stand.pids()));
  streaming.close();
  await Promise.all(urls.map((url) => http.send(`${url}/cancel`, {})));

  const counts = [...takenAt.keys()].map((name) => gotAt.get(name)?.length ?? 0);
  return {
    connections,
    sent: takenAt.size,
    lost: counts.reduce((sum, count) => sum + Math.max(0, crowd.readers - count), 0),
    repeated: counts.reduce((sum, count) => sum + Math.max(0, count - crowd.readers), 0),
    seconds,
    requests,
    takenMs,
    delayMs: [...takenAt].flatMap(([name, taken]) => (gotAt.get(name) ?? []).map((at) => at - taken)),
    kibPerStream,
    cpu,
  };
}

function render(
  blocks: ReaderBlock[],
  crowd: CrowdResult,
  { rounds, events }: { rounds: number; events: number },
): string {
  const beyond = ({ takenMs, readMs }: Times) => [number(quantile(readMs, 0.5) - quantile(takenMs, 0.5), 1)];
  const cpuMs = (name: string) => number((crowd.cpu.processMs[name] ?? 0) / crowd.sent, 2);
  return [
    '## Streams: from an event to those who follow',
    '',
    ...factLines(),
    `- Blocks: ${rounds} of ${events} events for each number of readers, alternating`,
    noiseLine([...blocks, crowd].map(({ cpu }) => cpu)),
    '',
    table(
      [
        'readers',
        'callback taken p50 ms',
        'p99',
        'reader has it p50 ms',
        'p99',
        'beyond the callback p50',
        'read',
        'blocks',
      ],
      readerRows(blocks, beyond),
    ),
    '',
    '- One execution, one API. Both times are from the send of the callback: to its 200, when Temporal has recorded it, and',
    '  to each reader. A reader may have it before the agent has its 200.',
    '',
    '### Many streams at once',
    '',
    table(
      [
        'streams',
        'events',
        'per s',
        'per callback',
        'taken p50 ms',
        'p99',
        '200 to reader p50 ms',
        'p99',
        'lost',
        'twice',
        'KiB per stream',
        'CPU ms per event: server',
        'API',
        'worker',
      ],
      [
        [
          String(crowd.connections),
          String(crowd.sent),
          number(crowd.sent / crowd.seconds, 0),
          number(crowd.sent / crowd.requests, 1),
          ...quantiles(crowd.takenMs),
          ...quantiles(crowd.delayMs),
          String(crowd.lost),
          String(crowd.repeated),
          number(crowd.kibPerStream, 1),
          cpuMs('server'),
          cpuMs('api'),
          cpuMs('worker'),
        ],
      ],
    ),
    '',
    '- Each agent has one callback on its way at a time, with all events since the one before. All readers and agents are\n  one process, which shares the two cores with everything else.',
    '',
  ].join('\n');
}
