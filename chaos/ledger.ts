/**
 * What was seen, by the one clock of this process: by clients, agents and receivers, and what was done to the system.
 * The invariants are checked against this and nothing else.
 */

/** How an execution ended, in a form that compares. `result` is JSON with sorted keys. */
export interface Outcome {
  status: string;
  result?: string;
  /** Absent where a channel has no room for it. */
  error?: string;
}

export const CHANNELS = [
  'sync',
  'poll',
  'long-poll',
  'batch',
  'receiver-poll',
  'stream',
  'pages',
  'webhook',
  'temporal',
] as const;
export type Channel = (typeof CHANNELS)[number];

/** What a client says to an execution that is under way. */
export type Steer = 'message' | 'pause' | 'resume' | 'approval';

export interface LoggedAttempt {
  attempt: number;
  http_status: number | null;
  error: string | null;
}

type Seen =
  | { kind: 'submit-sent'; try: number; api: string }
  | {
      kind: 'submit-answered';
      try: number;
      sentAt: number;
      status: number;
      id?: string;
      code?: string;
      retryAfter: boolean;
    }
  | { kind: 'submit-cut'; try: number; sentAt: number; why: string }
  | { kind: 'waiting'; id: string }
  | { kind: 'told'; id: string; channel: Channel; askedAt: number; outcome: Outcome }
  /** `question`: of which turn it waits for an answer. */
  | { kind: 'told-open'; id: string; channel: Channel; askedAt: number; status: string; question?: number }
  /** An answer that tells nothing of the execution; `to` is what had been asked for. */
  | { kind: 'refused'; to: string; sentAt: number; status: number; code: string; retryAfter: boolean }
  | { kind: 'cancel-sent'; id: string }
  | { kind: 'cancel-answered'; id: string; sentAt: number; status: number }
  /**
   * `detail`: id of the message, which is its text too; what is decided; of the others nothing. `question`: the turn
   * whose question a decision is meant for; it may leave that unsaid.
   */
  | { kind: 'steer-sent'; id: string; what: Steer; detail: string; question?: number }
  | {
      kind: 'steer-answered';
      id: string;
      what: Steer;
      detail: string;
      question?: number;
      sentAt: number;
      status: number;
      /** Of a refusal. */
      code?: string;
    }
  /** A client has read in a log that the execution waits for an answer. */
  | { kind: 'question-seen'; id: string; channel: Channel; question: number }
  /** `turn` is unset in the first, here and in the callbacks. */
  | { kind: 'agent-called'; id: string; call: number; attempt: number; caller: string; turn?: number }
  /** `gave`: the outcome that the answer is; `retryable`: a failure after which the agent may be called again. */
  | {
      kind: 'agent-answered';
      id: string;
      call: number;
      how: string;
      gave?: Outcome;
      retryable: boolean;
      notBefore?: number;
    }
  | { kind: 'agent-cut'; id: string; call: number }
  | { kind: 'agent-told'; id: string }
  /** It ends its turn with a question, and leaves this checkpoint. */
  | { kind: 'agent-asked'; id: string; call: number; turn: number; checkpoint: string }
  /** What it got with the word. All but the decision is JSON with sorted keys. */
  | {
      kind: 'agent-resumed';
      id: string;
      call: number;
      turn: number;
      input: string;
      checkpoint: string;
      decision: string;
    }
  | { kind: 'message-seen'; id: string; message: string; text: string; interrupt: boolean; control: string }
  | { kind: 'message-applied'; id: string; message: string }
  | { kind: 'applied-answered'; id: string; message: string; status: number }
  /** `gave.status` is `waiting` where it is a question. */
  | { kind: 'callback-sent'; id: string; callback: number; gave: Outcome; turn?: number }
  | {
      kind: 'callback-answered';
      id: string;
      callback: number;
      sentAt: number;
      status: number;
      gave: Outcome;
      turn?: number;
    }
  | { kind: 'callback-cut'; id: string; callback: number }
  | { kind: 'webhook-arrived'; id: string; delivery: number; webhookId: string; flaws: string[] }
  | { kind: 'webhook-read'; delivery: number; found: 'in-history' | 'not-in-history' | 'unreadable' }
  | { kind: 'webhook-answered'; delivery: number; how: string; status: number; notBefore?: number }
  | { kind: 'webhook-unanswered'; delivery: number; how: string }
  | { kind: 'redirect-followed' }
  | { kind: 'answer-drained'; bytes: number }
  | { kind: 'attempt-log'; id: string; attempts: LoggedAttempt[] }
  /**
   * What a reader has seen of a whole log: `digest` is of its bytes, `steps` the names of the agent's, `talk` what was
   * said between it and persons, as `talkIn` writes it.
   */
  | { kind: 'log'; id: string; channel: Channel; digest: string; steps: string[]; talk: string[]; flaws: string[] }
  | { kind: 'event-answered'; id: string; step: string; status: number }
  | { kind: 'still-open'; id: string; status: string }
  | { kind: 'replay-failed'; id: string; why: string }
  | { kind: 'not-in-temporal'; id: string }
  | { kind: 'secret-seen'; where: string };

/** `n` is the number of the planned execution; -1 where none is concerned. */
export type Fact = { at: number; n: number } & Seen;
export type FactKind = Fact['kind'];
export type FactOf<K extends FactKind> = Extract<Fact, { kind: K }>;

/** Something done to the system. */
export interface Disturbance {
  /** The name of the planned fault. */
  fault: string;
  /**
   * `worker-1#2` (process and which start of it), `api-1#1`, `temporal`, `link:worker-agent`, `machine`. Several where
   * one thing is several: a process that is API and worker.
   */
  whats: readonly string[];
  how: 'killed' | 'stopped' | 'skewed' | 'cut' | 'delay' | 'blackhole' | 'disk-full' | 'starved';
  from: number;
  /** When all was well again; Infinity until then. */
  to: number;
  /** Executions under way when it began. */
  inFlight: number;
}

export interface Ledger {
  facts: readonly Fact[];
  disturbances: readonly Disturbance[];
  add: (n: number, seen: Seen) => Fact;
  disturb: (disturbance: Omit<Disturbance, 'from' | 'to' | 'inFlight'>) => Disturbance;
  /** Called at once with each fact; returns how to stop that. */
  watch: (listener: (fact: Fact) => void) => () => void;
  /** Executions submitted whose end nobody was told yet, and whose client has not given up. */
  inFlight: () => number;
  /** The client of this execution does not know it and will not ask again. */
  giveUp: (n: number) => void;
}

/** Milliseconds since the epoch, with fractions, never going back. */
export function clock(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 10) / 10;
}

export function createLedger(): Ledger {
  const facts: Fact[] = [];
  const disturbances: Disturbance[] = [];
  const listeners = new Set<(fact: Fact) => void>();
  const open = new Set<number>();
  return {
    facts,
    disturbances,
    add: (n, seen) => {
      const fact: Fact = { at: clock(), n, ...seen };
      facts.push(fact);
      if (fact.kind === 'submit-sent') open.add(n);
      if (fact.kind === 'told') open.delete(n);
      for (const listener of listeners) listener(fact);
      return fact;
    },
    disturb: (done) => {
      const disturbance = { ...done, from: clock(), to: Infinity, inFlight: open.size };
      disturbances.push(disturbance);
      return disturbance;
    },
    watch: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    inFlight: () => open.size,
    giveUp: (n) => void open.delete(n),
  };
}

export function factsOf<K extends FactKind>(facts: readonly Fact[], kind: K): FactOf<K>[] {
  return facts.filter((fact): fact is FactOf<K> => fact.kind === kind);
}

/** The first fact from now on that is wanted; undefined when the time is over, or the run. */
export function firstOf(
  ledger: Ledger,
  isWanted: (fact: Fact) => boolean,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<Fact | undefined> {
  return new Promise((resolve) => {
    const end = (fact?: Fact) => {
      unwatch();
      clearTimeout(timer);
      signal.removeEventListener('abort', give);
      resolve(fact);
    };
    const give = () => end();
    const timer = setTimeout(give, timeoutMs);
    const unwatch = ledger.watch((fact) => {
      if (isWanted(fact)) end(fact);
    });
    signal.addEventListener('abort', give);
  });
}

export function byExecution(facts: readonly Fact[]): Map<number, Fact[]> {
  const groups = new Map<number, Fact[]>();
  for (const fact of facts) {
    const group = groups.get(fact.n);
    if (group) group.push(fact);
    else groups.set(fact.n, [fact]);
  }
  return groups;
}

/** JSON whose keys are sorted, so that equal values are equal texts. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

export const TERMINAL: readonly string[] = ['succeeded', 'failed', 'timeout', 'cancelled'];

/** What an answer of Perdure's that shows an execution tells of its end. */
export function outcomeIn(shown: { status?: unknown; result?: unknown; error?: unknown }): Outcome | undefined {
  const status = String(shown.status);
  if (!TERMINAL.includes(status)) return undefined;
  if (status === 'succeeded') return { status, result: canonical(shown.result ?? null) };
  return { status, error: String(shown.error) };
}

/** The turn whose question an execution waits to have answered, as an answer of Perdure's shows it. */
export function questionIn({ status, waiting }: Record<string, unknown>): { question?: number } {
  return status === 'waiting' ? { question: Number((waiting as { turn?: number }).turn) } : {};
}

/** Everything that is known of one execution, to be read by people. */
export function story(ledger: Pick<Ledger, 'facts' | 'disturbances'>, n: number, startedAt: number): string {
  const own = ledger.facts.filter((fact) => fact.n === n);
  const [first, last] = [own[0]?.at ?? 0, own.at(-1)?.at ?? 0];
  const lines = own.map(({ at, kind, ...rest }) => ({ at, text: `${kind} ${words(rest)}` }));
  for (const { fault, whats, how, from, to } of ledger.disturbances) {
    const what = whats.join(' = ');
    if (to < first - 5_000 || from > last) continue;
    lines.push({ at: from, text: `  ~ ${what} ${how} (${fault})` });
    if (to !== Infinity) lines.push({ at: to, text: `  ~ ${what} well again (${fault})` });
  }
  return lines
    .toSorted((a, b) => a.at - b.at)
    .map(({ at, text }) => `    ${((at - startedAt) / 1000).toFixed(3).padStart(9)} s  ${text}`)
    .join('\n');
}

function words(rest: object): string {
  return Object.entries(rest)
    .filter(([name]) => name !== 'n')
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
}
