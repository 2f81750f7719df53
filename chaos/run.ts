import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { startAgents } from './agents.ts';
import { readAllByBatch } from './batch.ts';
import { createClients } from './clients.ts';
import { createSend } from './http.ts';
import type { Send } from './http.ts';
import { injectFaults } from './inject.ts';
import { readAllLogs } from './logs.ts';
import { clock, createLedger } from './ledger.ts';
import type { Ledger } from './ledger.ts';
import { inParallel } from './parallel.ts';
import type { Plan } from './plan.ts';
import { startReceivers } from './receivers.ts';
import { hasSecret, NODE_SECRET } from './secrets.ts';
import { watchMachine } from './starvation.ts';
import { startStand } from './stand.ts';
import { replayAll } from './replay.ts';
import type { Stand } from './stand.ts';

export interface Run {
  ledger: Ledger;
  /** The plan as far as it can be carried out on this machine. */
  plan: Plan;
  notPlanned: string[];
  startedAt: number;
  /** How long after the last fault everything had ended. */
  liveMs: number;
}

const PROGRESS_MS = 5_000;
const START_DELAY_MS = 300;

export interface RunOptions {
  root: string;
  logFolder: string | undefined;
  /** API and worker in one process each time: `serve/`. */
  isOneProcess: boolean;
  /** More than this at once would measure the machine, not the system. */
  maxInFlight: number;
  /** The promise of liveness: so long after the last fault everything has ended. */
  liveMs: number;
}

/** One run: starts everything, lets the plan happen, waits for the end of all of it, and looks at everything once more. */
export async function run(
  wanted: Plan,
  { root, logFolder, isOneProcess, maxInFlight, liveMs }: RunOptions,
  say: (line: string) => void,
): Promise<Run> {
  const ledger = createLedger();
  const planOf = (n: number) => wanted.executions[n];
  let stand: Stand | undefined;
  let clients: ReturnType<typeof createClients> | undefined;
  const agents = await startAgents(ledger, wanted.seed, planOf);
  const receivers = await startReceivers({
    ledger,
    seed: wanted.seed,
    planOf,
    holdsOutcome: async (id, told) => (await stand?.histories.holdsOutcome(id, told)) ?? false,
    ask: async (n, id) => clients?.ask(n, id),
  });
  try {
    say(`starting Temporal, two APIs and two workers${isOneProcess ? ', each API and worker in one process' : ''}`);
    stand = await startStand({
      root,
      agentPort: agents.port,
      receiverPort: receivers.port,
      secretHeader: NODE_SECRET,
      logFolder,
      isOneProcess,
      wantsDisk: wanted.names.includes('disk-full'),
    });
    const { plan, notPlanned } = possible(wanted, stand);
    for (const line of notPlanned) say(`not planned: ${line}`);
    const send = createSend(ledger);
    clients = createClients({ ledger, seed: plan.seed, send, apiUrls: stand.apiUrls, receiverUrl: stand.receiverUrl });
    const startedAt = clock() + START_DELAY_MS;
    const second = () => `${((clock() - startedAt) / 1000).toFixed(0).padStart(4)} s`;
    const progress = setInterval(() => {
      const { facts } = ledger;
      say(`${second()}  in flight ${ledger.inFlight()}, facts ${facts.length}`);
    }, PROGRESS_MS);
    const unwatch = watchMachine(ledger, stand.histories.ping);
    try {
      const onFault = (name: string) => say(`${second()}  ${name}`);
      let areFaultsOver = false;
      const injecting = injectFaults({ stand, ledger, plan, startedAt, onFault }).finally(() => (areFaultsOver = true));
      const [lives] = await Promise.all([
        submitAll({ plan, clients, ledger, startedAt, maxInFlight, isEnough: () => areFaultsOver }),
        injecting,
      ]);
      say(`${second()}  no more faults: everything has to end within ${liveMs / 1000} s`);
      const calmAt = clock();
      const deadline = calmAt + liveMs;
      await Promise.race([Promise.all([...lives, agents.idle()]), sleep(liveMs, undefined, { ref: false })]);
      clients.stop();
      const settledAt = clock();
      const { ids, lastOpenAt } = await endAll(stand, ledger, deadline);
      await lookAgain(stand, ledger, send, ids);
      await replayHistories(root, stand, ledger, ids);
      const tookMs = Math.max(settledAt, lastOpenAt) - calmAt;
      return { ledger, plan, notPlanned, startedAt, liveMs: tookMs };
    } finally {
      unwatch();
      clearInterval(progress);
    }
  } finally {
    clients?.stop();
    await stand?.stop();
    await Promise.all([agents.close(), receivers.close()]);
  }
}

/** What this machine cannot do is left out, and said. */
function possible(plan: Plan, stand: Stand): { plan: Plan; notPlanned: string[] } {
  if (stand.disk || !plan.names.includes('disk-full')) return { plan, notPlanned: [] };
  const faults = plan.faults.filter(({ fault }) => fault.type !== 'disk-full');
  const names = plan.names.filter((name) => name !== 'disk-full');
  return { plan: { ...plan, faults, names }, notPlanned: ['disk-full (a tmpfs takes root)'] };
}

/** Submits on time, or as soon as there is room. @returns the lives of all executions */
async function submitAll(options: {
  plan: Plan;
  clients: ReturnType<typeof createClients>;
  ledger: Ledger;
  startedAt: number;
  maxInFlight: number;
  isEnough: () => boolean;
}): Promise<Promise<void>[]> {
  const { plan, clients, ledger, startedAt, maxInFlight, isEnough } = options;
  const lives: Promise<void>[] = [];
  for (const planned of plan.executions) {
    if (planned.n >= plan.atLeast && isEnough()) break;
    const dueInMs = startedAt + planned.atMs - clock();
    if (dueInMs > 0) await sleep(dueInMs);
    while (ledger.inFlight() >= maxInFlight) await sleep(50);
    lives.push(clients.run(planned));
  }
  return lives;
}

/** Asks Temporal itself how each execution closed, until all have or the time is over. */
async function endAll(
  stand: Stand,
  ledger: Ledger,
  deadline: number,
): Promise<{ ids: Map<string, number>; lastOpenAt: number }> {
  const { histories } = stand;
  const ids = new Map<string, number>();
  let lastOpenAt = 0;
  for (const fact of ledger.facts) if (fact.n >= 0 && 'id' in fact && fact.id !== undefined) ids.set(fact.id, fact.n);
  // Those that nobody was told of: their submit was cut off.
  for await (const id of histories.ids()) if (!ids.has(id)) ids.set(id, await histories.numberOf(id));

  await inParallel(ids, async ([id, n]) => {
    for (;;) {
      const read = await histories.closeOf(id);
      if (read === 'missing') return void ledger.add(n, { kind: 'not-in-temporal', id });
      if (hasSecret(read.text)) ledger.add(n, { kind: 'secret-seen', where: 'history' });
      if (read.close)
        return void ledger.add(n, { kind: 'told', id, channel: 'temporal', askedAt: clock(), outcome: read.close });
      if (clock() > deadline)
        return void ledger.add(n, { kind: 'still-open', id, status: `open in Temporal: ${read.story}` });
      lastOpenAt = clock();
      await sleep(200);
    }
  });
  return { ids, lastOpenAt };
}

/** Each history must come to the same again, as when a worker takes over from one that has died. */
async function replayHistories(root: string, stand: Stand, ledger: Ledger, ids: Map<string, number>): Promise<void> {
  async function* histories() {
    for (const workflowId of ids.keys()) yield { workflowId, history: await stand.histories.historyOf(workflowId) };
  }
  for await (const { id, flaw } of replayAll(root, histories()))
    if (flaw !== undefined) ledger.add(ids.get(id) ?? -1, { kind: 'replay-failed', id, why: flaw.slice(0, 500) });
}

/** Every channel once more, and the logs, when all is well. */
async function lookAgain(stand: Stand, ledger: Ledger, send: Send, ids: Map<string, number>): Promise<void> {
  await readAllByBatch(ledger, send, stand.apiUrls, ids);
  await readAllLogs(ledger, send, stand.apiUrls, ids);
  for (const log of stand.logs)
    if (hasSecret(await readFile(log, 'utf8'))) ledger.add(-1, { kind: 'secret-seen', where: log });
}
