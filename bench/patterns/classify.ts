/** What the client was told about an execution. */
export interface Told {
  status: string;
  result?: unknown;
  /** `performance.now()` of the moment it knew. */
  at: number;
}

/** One execution as its client lived it. */
export interface Experience {
  /** When it was to be submitted. All spans count from here. */
  dueAt: number;
  accepted: boolean;
  /** The first terminal outcome that the client was told. */
  told?: Told;
  /** It asked, and the service still called it unfinished. */
  unfinished?: boolean;
}

/** What it would have been told in a world without faults of the orchestrator: the agent's answer, or that it hung. */
export interface Expected {
  status: 'succeeded' | 'timeout';
  answer: string;
}

export const VERDICTS = ['succeeded', 'lost', 'wrong', 'stuck', 'late', 'refused'] as const;
/**
 * `lost`: accepted, and the client never learned the outcome. `wrong`: it was told something else than what the agent
 * did, such as a failure where a second call would have worked. `stuck`: not over at the end. `late`: right, but after
 * the deadline. `refused`: never accepted.
 */
export type Verdict = (typeof VERDICTS)[number];

export function classify(experience: Experience, expected: Expected, deadlineMs: number): Verdict {
  const { told, accepted, unfinished, dueAt } = experience;
  if (told) {
    if (!isRight(told, expected)) return 'wrong';
    return told.at - dueAt <= deadlineMs ? 'succeeded' : 'late';
  }
  if (!accepted) return 'refused';
  return unfinished ? 'stuck' : 'lost';
}

function isRight({ status, result }: Told, expected: Expected): boolean {
  if (status !== expected.status) return false;
  return expected.status === 'timeout' || (result as { answer?: unknown } | null)?.answer === expected.answer;
}

export type Ledger = Record<Verdict, number>;

export function countVerdicts(verdicts: readonly Verdict[]): Ledger {
  const ledger = Object.fromEntries(VERDICTS.map((verdict) => [verdict, 0])) as Ledger;
  for (const verdict of verdicts) ledger[verdict]++;
  return ledger;
}
