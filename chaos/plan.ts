import { AGENT_FAULTS, isAsking, nameOf, RECEIVER_FAULTS, systemFaultsOf } from './faults.ts';
import type { AgentBehaviour, ReceiverBehaviour, SystemFault } from './faults.ts';
import { createRandom } from './random.ts';
import type { Random } from './random.ts';

/** All that will happen, decided by the seed before anything is started. Times are milliseconds from the start. */
export interface Plan {
  seed: number;
  executions: PlannedExecution[];
  /** So many are submitted in any case; the others while there are faults to come, so that none finds nothing to break. */
  atLeast: number;
  faults: PlannedFault[];
  /** Names of all faults that have to happen. */
  names: string[];
}

export interface PlannedExecution {
  n: number;
  atMs: number;
  way: 'sync' | 'prefer-wait' | 'async';
  /** How the client learns of the end of what it did not wait for. */
  follow: 'poll' | 'long-poll' | 'batch' | 'stream' | 'webhook';
  hasKey: boolean;
  agent: AgentBehaviour;
  /** How long the agent works. */
  workMs: number;
  receiver?: ReceiverBehaviour;
  /** Whether the receiver asks for the execution before it answers. */
  receiverAsks: boolean;
  timeoutMs?: number;
  cancelAfterMs?: number;
  /** What its client says to the agent, counted from when the execution is known; some of it twice at once. */
  messages?: { atMs: number; isTwice: boolean; isInterrupt: boolean }[];
  /** How often its agent asks before it goes on to the end. */
  questions?: number;
  /** Whether whoever answers says which question is meant; of several they do. */
  namesTurn?: boolean;
  /** Whether the same is answered twice at once. */
  answersTwice?: boolean;
  /** Its client pauses it, counted from the same moment, and lets it go on. */
  hold?: { afterMs: number; lastsMs: number };
}

export interface PlannedFault {
  fault: SystemFault;
  atMs: number;
  lastsMs: number;
  /** Where there are two processes of a kind: which. */
  index: 0 | 1;
}

export interface PlanOptions {
  seed: number;
  executions: number;
  /** Submits per second. */
  rate: number;
  faults: ReadonlySet<string>;
  /** How often each fault of the system happens. */
  rounds: number;
}

/** How agents behave that do nothing wrong, by their shares. */
const COMMON: readonly AgentBehaviour[] = [
  ...Array.from({ length: 6 }, () => 'answer' as const),
  ...Array.from({ length: 4 }, () => 'accept' as const),
  ...(['stream', 'stream', 'callback', 'callback', 'ask', 'ask-in-stream', 'ask-later'] as const),
];
const FIRST_FAULT_MS = 3_000;
const RESERVE = 4;

export function makePlan({ seed, executions, rate, faults, rounds }: PlanOptions): Plan {
  const lengthMs = (executions / rate) * 1000;
  const agents = AGENT_FAULTS.filter((name) => faults.has(`agent:${name}`));
  const receivers = RECEIVER_FAULTS.filter((name) => faults.has(`receiver:${name}`));
  const random = createRandom(seed);
  const steering = createRandom(seed ^ 0x57ee7);
  return {
    seed,
    atLeast: executions,
    executions: Array.from({ length: RESERVE * executions }, (_, n) =>
      steered(steering, planExecution(random, n, (n * 1000) / rate, agents, receivers)),
    ),
    faults: planFaults(createRandom(seed ^ 0x5eed), systemFaultsOf(faults), rounds, lengthMs),
    names: [...faults],
  };
}

function planExecution(
  random: Random,
  n: number,
  atMs: number,
  agentFaults: readonly AgentBehaviour[],
  receiverFaults: readonly ReceiverBehaviour[],
): PlannedExecution {
  const agent = agentOf(random, n, agentFaults);
  const receiver = receiverOf(random, n, receiverFaults);
  const follow = random.pick(
    receiver === undefined || agent === 'silent' || isAsking(agent)
      ? (['poll', 'long-poll', 'batch', 'stream'] as const)
      : (['poll', 'long-poll', 'batch', 'stream', 'webhook'] as const),
  );
  const isLong = agent === 'accept' && random.chance(0.4);
  const needsLimit = agent === 'hang' || agent === 'silent' || agent === 'late';
  const endsByCancel = needsLimit ? random.chance(0.4) : random.chance(0.05);
  const way = random.pick(['sync', 'prefer-wait', 'async', 'async'] as const);
  return {
    n,
    atMs: Math.round(atMs),
    // Who is to answer must see that it is asked.
    way: way === 'sync' && isAsking(agent) ? 'async' : way,
    follow,
    hasKey: random.chance(0.6),
    agent,
    workMs: isLong ? random.between(5_000, 12_000) : random.between(20, 1_200),
    ...(receiver !== undefined && { receiver }),
    receiverAsks: random.chance(0.4),
    // A cancel may be refused while Temporal is away: the limit ends what nothing else would.
    ...(needsLimit && { timeoutMs: random.between(2_500, 4_500) + (endsByCancel ? 4_000 : 0) }),
    ...(endsByCancel && { cancelAfterMs: random.between(0, 2_000) }),
  };
}

/** Their calls fail or bring little: there is something to be held back, or somebody to be spoken to. */
const CALLED_AGAIN: readonly AgentBehaviour[] = ['500', '500-for-ever', '429', 'crash', 'broken-stream'];
const AT_WORK: readonly AgentBehaviour[] = ['accept', 'callback', 'duplicate', 'silent', 'late'];

/** Adds what the client does while the execution is under way; most are left alone. */
function steered(random: Random, planned: PlannedExecution): PlannedExecution {
  const { agent, workMs, hasKey } = planned;
  const isSpokenTo = AT_WORK.includes(agent) && random.chance(0.4);
  const isHeld = random.chance(CALLED_AGAIN.includes(agent) || isAsking(agent) ? 0.3 : 0.06);
  return {
    ...planned,
    // What waits for its client must not be one that its client does not know.
    hasKey: hasKey || isHeld || isAsking(agent),
    ...(isSpokenTo && {
      messages: Array.from({ length: random.between(1, 2) }, () => ({
        atMs: random.between(0, workMs),
        isTwice: random.chance(0.3),
        isInterrupt: random.chance(0.2),
      })),
    }),
    ...(isAsking(agent) && asked(random, agent)),
    ...(isHeld && { hold: { afterMs: random.between(0, 1_500), lastsMs: random.between(600, 3_000) } }),
  };
}

function asked(random: Random, agent: AgentBehaviour): Partial<PlannedExecution> {
  const questions = random.pick([1, 1, 2]);
  return {
    questions,
    namesTurn: questions > 1 || random.chance(0.5),
    // One of two who differ is refused, whoever says it twice is not.
    ...(agent !== 'ask-two' && random.chance(0.4) && { answersTwice: true }),
  };
}

/** Each fault comes up at least once in any stretch of so many executions, the others are drawn. */
function agentOf(random: Random, n: number, faults: readonly AgentBehaviour[]): AgentBehaviour {
  const common = random.pick(COMMON);
  return n % 3 === 1 ? (faults[Math.floor(n / 3) % faults.length] ?? common) : common;
}

function receiverOf(random: Random, n: number, faults: readonly ReceiverBehaviour[]): ReceiverBehaviour | undefined {
  const common = random.chance(0.5) ? ('take' as const) : undefined;
  // Even and odd numbers of agent faults would else always meet the same receivers.
  return n % 5 === 2 ? (faults[Math.floor(n / 5) % faults.length] ?? common) : common;
}

export const LANES = ['process', 'link'] as const;

export function laneOf(fault: SystemFault): (typeof LANES)[number] {
  return fault.type === 'link' ? 'link' : 'process';
}

/** Faults of one lane come one after the other, spread over the run; lanes run side by side. */
function planFaults(random: Random, faults: SystemFault[], rounds: number, lengthMs: number): PlannedFault[] {
  const planned = LANES.flatMap((lane) => {
    const ofLane = faults.filter((fault) => laneOf(fault) === lane);
    const all = Array.from({ length: rounds }, () => shuffled(random, ofLane)).flat();
    const slotMs = Math.max(0, lengthMs - FIRST_FAULT_MS) / all.length;
    return all.map((fault, i) => ({
      fault,
      atMs: Math.round(FIRST_FAULT_MS + slotMs * (i + 0.3 * random.next())),
      lastsMs: lengthOf(random, fault),
      index: random.chance(0.5) ? (0 as const) : (1 as const),
    }));
  });
  return planned.toSorted((a, b) => a.atMs - b.atMs || nameOf(a.fault).localeCompare(nameOf(b.fault)));
}

function lengthOf(random: Random, fault: SystemFault): number {
  switch (fault.type) {
    case 'kill':
      return random.between(200, 1_000);
    case 'stop':
      // About as long as a heartbeat may be late; longer than Perdure waits for Temporal.
      return fault.process === 'worker' ? random.between(3_500, 4_500) : random.between(5_500, 7_000);
    case 'skew':
      return random.between(3_000, 5_000);
    case 'disk-full':
      return random.between(1_500, 2_500);
    case 'link':
      return random.between(700, 1_500);
  }
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, key: random.next() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ item }) => item);
}
