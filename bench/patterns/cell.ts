import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { startAgent } from './agent.ts';
import { findFlaws } from './audit.ts';
import type { CellResult } from './audit.ts';
import { classify, countVerdicts } from './classify.ts';
import type { Expected, Verdict } from './classify.ts';
import { createClient } from './client.ts';
import type { PatternClient } from './client.ts';
import { startCuttingProxy } from './cutting-proxy.ts';
import { applyLoad } from './load.ts';
import { readMachine, useBetween } from './machine.ts';
import { PATTERNS } from './patterns.ts';
import type { PatternName } from './patterns.ts';
import { startReceivingSide } from './receiving-side.ts';
import { DEADLINE_MS } from './settings.ts';
import type { Level } from './settings.ts';
import { createTrace } from './trace.ts';

export interface CellOptions {
  name: PatternName;
  level: Level;
  executions: number;
  /** Executions submitted per second, at even distances. */
  perSecond: number;
  seed: number;
}

const WARM_UPS = 12;
const WARM_UP_PATIENCE_MS = 60_000;
/** For webhooks that are still under way when the last client has its outcome. */
const AFTERMATH_MS = 300;

/** One pattern under one fault rate: deployed afresh, warmed up, loaded, and observed until the last client is done. */
export async function runCell({ name, level, executions, perSecond, seed }: CellOptions): Promise<CellResult> {
  const pattern = PATTERNS[name];
  const loadMs = (executions / perSecond) * 1000;
  const trace = createTrace({ seed, rate: level.rate, loadMs });
  const closers: (() => unknown)[] = [];
  try {
    const agent = await startAgent(trace);
    closers.push(agent.close);
    const side = await startReceivingSide();
    closers.push(side.close);
    const deployment = await pattern.deploy(agent.url);
    closers.push(deployment.stop);
    const proxy = await startCuttingProxy(deployment.port, trace);
    closers.push(proxy.close);
    const { channel, surface } = pattern;
    const client = createClient({ url: proxy.url, channel, surface, side, cell: `${name}-${level.name}-${seed}` });
    closers.push(client.close);

    await warmUp(name, client);
    const machineBefore = readMachine();
    const { processes } = deployment;
    const { submitted, experiences, fired } = await applyLoad({
      executions,
      perSecond,
      trace,
      client,
      side,
      processes,
    });
    await sleep(AFTERMATH_MS);

    const verdicts: Verdict[] = [];
    const overheadsMs: number[] = [];
    let duplicateCalls = 0;
    let duplicateWebhooks = 0;
    for (const [n, experience] of experiences.entries()) {
      const expected: Expected = { status: trace.hangs(n) ? 'timeout' : 'succeeded', answer: trace.answer(n) };
      const verdict = classify(experience, expected, DEADLINE_MS);
      verdicts.push(verdict);
      const { calls, failed, workedMs } = agent.record(n);
      if (verdict === 'succeeded' && experience.told && expected.status === 'succeeded')
        overheadsMs.push(experience.told.at - experience.dueAt - workedMs);
      duplicateCalls += Math.max(0, calls - 1 - failed);
      duplicateWebhooks += Math.max(0, side.taken(n) - 1);
    }
    const result: Omit<CellResult, 'flaws'> = {
      name,
      level,
      submitted,
      ledger: countVerdicts(verdicts),
      overheadsMs,
      duplicateCalls,
      duplicateWebhooks,
      fired,
      planned: Object.fromEntries([
        ...processes.map(({ role }) => [`kill ${role}`, trace.kills(role).length] as const),
        ['outage', trace.outages.length] as const,
      ]),
      agentFaults: agent.faults,
      cuts: proxy.cuts,
      refusedWebhooks: side.refused(),
      failedSubmits: client.failedSubmits(),
      accidents: processes.reduce((sum, process) => sum + process.accidents(), 0),
      loadMs,
      machine: useBetween(machineBefore, readMachine()),
    };
    return { ...result, flaws: findFlaws(result, executions) };
  } finally {
    for (const close of closers.toReversed()) await close();
  }
}

/** Until a whole batch has gone well: what has just been started may refuse or be slow at first. */
async function warmUp(name: PatternName, client: PatternClient): Promise<void> {
  let next = -1;
  const until = performance.now() + WARM_UP_PATIENCE_MS;
  while (performance.now() < until) {
    const giveUp = AbortSignal.timeout(WARM_UP_PATIENCE_MS);
    setMaxListeners(0, giveUp);
    const batch = Array.from({ length: WARM_UPS }, () => next--);
    const isTold = await Promise.all(
      batch.map(async (execution) => {
        const id = await client.submit(execution);
        return id !== undefined && (await client.learn(execution, id, giveUp)).told?.status === 'succeeded';
      }),
    );
    if (!isTold.includes(false)) return;
  }
  throw new Error(`${name} does not work even without faults`);
}
