import { setTimeout as sleep } from 'node:timers/promises';
import { LINKS, nameOf } from './faults.ts';
import type { KillPoint, SystemFault } from './faults.ts';
import { clock } from './ledger.ts';
import type { Disturbance, Fact, Ledger } from './ledger.ts';
import { LANES, laneOf } from './plan.ts';
import type { Plan, PlannedExecution, PlannedFault } from './plan.ts';
import type { Proxy } from './proxy.ts';
import type { Part, Stand } from './stand.ts';

export interface InjectDeps {
  stand: Stand;
  ledger: Ledger;
  plan: Plan;
  /** When the first execution is due. */
  startedAt: number;
  onFault: (line: string) => void;
}

/** How long a fault waits for its named point; the executions that bring it go on all the while. */
const POINT_DEADLINE_MS = 60_000;
/** A kill at Temporal's named point waits for so much work in flight. */
const IN_FLIGHT = 5;
/** A 202 is recorded for certain when so much time has passed. */
const LONG_AGO_MS = 4_500;
/** An API is killed so long after its request was sent: before, while or after Temporal gets it. */
const REQUEST_MAX_MS = 12;
const RECENT_FACTS = 5_000;
/** Not more for a worker than receivers let a signature's timestamp differ. */
const SKEW_MS = { api: 3_600_000, worker: 120_000 } as const;

/** Does to the system what is planned. Resolves when every fault has happened and all is well again. */
export async function injectFaults(deps: InjectDeps): Promise<void> {
  const restarts = new Set<Promise<void>>();
  await Promise.all(
    LANES.map((lane) =>
      runLane(
        deps,
        deps.plan.faults.filter(({ fault }) => laneOf(fault) === lane),
        restarts,
      ),
    ),
  );
  await Promise.all(restarts);
}

async function runLane(deps: InjectDeps, lane: PlannedFault[], restarts: Set<Promise<void>>): Promise<void> {
  for (const planned of lane) {
    const dueInMs = deps.startedAt + planned.atMs - clock();
    if (dueInMs > 0) await sleep(dueInMs);
    deps.onFault(nameOf(planned.fault));
    await inject(deps, planned, planned.fault, restarts);
  }
}

async function inject(
  deps: InjectDeps,
  planned: PlannedFault,
  fault: SystemFault,
  restarts: Set<Promise<void>>,
): Promise<void> {
  const { stand } = deps;
  switch (fault.type) {
    case 'kill':
      if (fault.process === 'temporal') return killTemporal(deps, planned, fault.at === 'in-flight');
      // What was killed comes back while the next fault is under way: the other one of its kind still serves.
      for (const { part, done } of await victims(deps, planned, fault.process, fault.at))
        restarts.add(restart(part, done, planned.lastsMs));
      return;
    case 'stop':
      if (fault.process === 'temporal') return stopTemporal(deps, planned);
      return stopPart(deps, planned, await whenUp(stand[fault.process][planned.index]));
    case 'skew':
      return skewPart(deps, planned, await whenUp(stand[fault.process][planned.index]));
    case 'disk-full':
      return fillDisk(deps, planned);
    case 'link': {
      const proxies = stand.links[fault.link];
      const done = deps.ledger.disturb({ fault: nameOf(fault), whats: linksThrough(stand, proxies), how: fault.mode });
      for (const proxy of proxies) await proxy.misbehave(fault.mode);
      await sleep(planned.lastsMs);
      for (const proxy of proxies) await proxy.misbehave(undefined);
      done.to = clock();
    }
  }
}

/** Waits for the named point. The kill itself happens at that very moment, in the same turn of the event loop. */
async function victims(
  deps: InjectDeps,
  planned: PlannedFault,
  kind: 'api' | 'worker',
  at: KillPoint | 'random',
): Promise<{ part: Part; done: Disturbance }[]> {
  const { stand, ledger } = deps;
  const parts = stand[kind];
  // One that serves has to be left, or, where both are meant, both have to be there to be killed.
  await waitFor(() => parts.every((part) => part.isUp()));
  const kill = (part: Part) => {
    const done = ledger.disturb({ fault: nameOf(planned.fault), whats: part.names(), how: 'killed' });
    part.signal('SIGKILL');
    return { part, done };
  };
  const named = (name: string) =>
    parts.filter((part) => part.names().some((own) => own === name || own.startsWith(`${name}#`)));
  const planOf = (n: number): PlannedExecution | undefined => deps.plan.executions[n];

  switch (at) {
    case 'random':
      return [kill(parts[planned.index])];
    case 'agent-called':
      return atFact(ledger, (fact) => (fact.kind === 'agent-called' ? named(fact.caller) : undefined), kill);
    case 'agent-answered':
    case 'acknowledged':
    case 'asked': {
      const how = { 'agent-answered': ['200', 'stream'], acknowledged: ['202'], asked: ['question'] }[at];
      return atFact(
        ledger,
        (fact) =>
          fact.kind === 'agent-answered' && how.includes(fact.how) ? named(callerOf(ledger, fact)) : undefined,
        kill,
      );
    }
    case 'acknowledged-long-ago':
      await waitFor(() => acknowledgedLongAgo(ledger).length > 0);
      return parts.map(kill);
    case 'webhook-arrived':
      return atFact(ledger, (fact) => (fact.kind === 'webhook-arrived' ? [...parts] : undefined), kill);
    case 'webhook-taken':
      return atFact(
        ledger,
        (fact) => (fact.kind === 'webhook-answered' && fact.status < 300 ? [...parts] : undefined),
        kill,
      );
    case 'submit-sent':
    case 'steered': {
      const sent = await atFact(
        ledger,
        (fact) => {
          if (at === 'steered') return fact.kind === 'steer-sent' ? [...parts] : undefined;
          return fact.kind === 'submit-sent' ? named(fact.api) : undefined;
        },
        (part) => part,
      );
      await sleep(planned.lastsMs % REQUEST_MAX_MS);
      return sent.map(kill);
    }
    case 'submit-accepted':
      return atFact(
        ledger,
        (fact) =>
          fact.kind === 'submit-answered' && fact.status === 202 ? named(apiOf(ledger, fact.n, fact.try)) : undefined,
        kill,
      );
    case 'sync-wait':
      return atFact(
        ledger,
        (fact) => {
          if (fact.kind !== 'agent-called' || planOf(fact.n)?.way !== 'sync') return undefined;
          return isAnswered(ledger, fact.n) ? undefined : named(apiOf(ledger, fact.n));
        },
        kill,
      );
    case 'callback-sent':
      // Which of the two gets it is the proxy's to say.
      return atFact(ledger, (fact) => (fact.kind === 'callback-sent' ? [...parts] : undefined), kill);
    case 'in-flight':
      throw new Error('a point of Temporal');
  }
}

/** Acts on the first fact that points at somebody. */
function atFact<T>(
  ledger: Ledger,
  pointedAt: (fact: Fact) => Part[] | undefined,
  act: (part: Part) => T,
): Promise<T[]> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      unwatch();
      // Not an error of the system: the run is void, and says so, when a fault has not happened.
      resolve([]);
    }, POINT_DEADLINE_MS);
    const unwatch = ledger.watch((fact) => {
      const parts = pointedAt(fact);
      if (!parts || parts.length === 0) return;
      unwatch();
      clearTimeout(timer);
      try {
        resolve(parts.map(act));
      } catch (err) {
        reject(err as Error);
      }
    });
  });
}

async function restart(part: Part, done: Disturbance, afterMs: number): Promise<void> {
  await sleep(afterMs);
  await part.start();
  done.to = clock();
}

async function stopPart({ ledger }: InjectDeps, planned: PlannedFault, part: Part): Promise<void> {
  const done = ledger.disturb({ fault: nameOf(planned.fault), whats: part.names(), how: 'stopped' });
  part.signal('SIGSTOP');
  await sleep(planned.lastsMs);
  part.signal('SIGCONT');
  done.to = clock();
}

async function skewPart({ ledger }: InjectDeps, planned: PlannedFault, part: Part): Promise<void> {
  const skewMs = part.names().some((name) => name.startsWith('worker')) ? SKEW_MS.worker : SKEW_MS.api;
  const fault = nameOf(planned.fault);
  const killed = ledger.disturb({ fault, whats: part.names(), how: 'killed' });
  part.signal('SIGKILL');
  await part.start(skewMs);
  killed.to = clock();
  const skewed = ledger.disturb({ fault, whats: part.names(), how: 'skewed' });
  await sleep(planned.lastsMs);
  const killedAgain = ledger.disturb({ fault, whats: part.names(), how: 'killed' });
  part.signal('SIGKILL');
  skewed.to = clock();
  await part.start();
  killedAgain.to = clock();
}

async function killTemporal(
  { ledger, stand }: InjectDeps,
  planned: PlannedFault,
  waitsForWork: boolean,
): Promise<void> {
  if (waitsForWork) await waitFor(() => ledger.inFlight() >= IN_FLIGHT);
  const done = ledger.disturb({ fault: nameOf(planned.fault), whats: ['temporal'], how: 'killed' });
  await stand.temporal.kill();
  await sleep(planned.lastsMs);
  await stand.temporal.restart();
  done.to = clock();
}

async function stopTemporal({ ledger, stand }: InjectDeps, planned: PlannedFault): Promise<void> {
  const done = ledger.disturb({ fault: nameOf(planned.fault), whats: ['temporal'], how: 'stopped' });
  process.kill(stand.temporal.pid, 'SIGSTOP');
  await sleep(planned.lastsMs);
  process.kill(stand.temporal.pid, 'SIGCONT');
  done.to = clock();
}

async function fillDisk({ ledger, stand }: InjectDeps, planned: PlannedFault): Promise<void> {
  if (!stand.disk) return;
  const done = ledger.disturb({ fault: nameOf(planned.fault), whats: ['temporal'], how: 'disk-full' });
  await stand.disk.fill();
  await sleep(planned.lastsMs);
  await stand.disk.free();
  done.to = clock();
}

function linksThrough({ links }: Stand, proxies: Proxy[]): string[] {
  return LINKS.filter((link) => links[link].some((proxy) => proxies.includes(proxy))).map((link) => `link:${link}`);
}

async function whenUp(part: Part): Promise<Part> {
  await waitFor(part.isUp);
  return part;
}

async function waitFor(isSo: () => boolean): Promise<void> {
  for (const until = clock() + POINT_DEADLINE_MS; clock() < until && !isSo();) await sleep(50);
}

function callerOf({ facts }: Ledger, { n, call }: { n: number; call: number }): string {
  const called = facts.findLast((fact) => fact.kind === 'agent-called' && fact.n === n && fact.call === call);
  return called?.kind === 'agent-called' ? called.caller : '';
}

function apiOf({ facts }: Ledger, n: number, attempt?: number): string {
  const sent = facts.findLast(
    (fact) => fact.kind === 'submit-sent' && fact.n === n && (attempt === undefined || fact.try === attempt),
  );
  return sent?.kind === 'submit-sent' ? sent.api : '';
}

function isAnswered({ facts }: Ledger, n: number): boolean {
  return facts.some((fact) => fact.n === n && (fact.kind === 'submit-answered' || fact.kind === 'submit-cut'));
}

/** Executions whose agent said 202 so long ago that it is recorded, and that wait for its callback. */
function acknowledgedLongAgo(ledger: Ledger): number[] {
  const facts = ledger.facts.slice(-RECENT_FACTS);
  const told = new Set(facts.filter((fact) => fact.kind === 'told' || fact.kind === 'callback-sent').map(({ n }) => n));
  return facts
    .filter((fact) => fact.kind === 'agent-answered' && fact.how === '202' && fact.at < clock() - LONG_AGO_MS)
    .map(({ n }) => n)
    .filter((n) => !told.has(n));
}
