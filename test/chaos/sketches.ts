/** What small ledgers are made of, to break invariants with. */
import { checkInvariants } from '../../chaos/invariants.ts';
import type { Disturbance, Fact } from '../../chaos/ledger.ts';
import type { PlannedExecution } from '../../chaos/plan.ts';

/** Facts without the time and the number: they follow each other by 100 ms unless they say when. */
export type Sketch = Omit<Fact, 'at' | 'n'> & { at?: number };

export const ID = 'exec_0';
export const RIGHT = { status: 'succeeded', result: '{"right":true}' };
export const WRONG = { status: 'succeeded', result: '{"right":false}' };
export const PLANNED: PlannedExecution = {
  n: 0,
  atMs: 0,
  way: 'async',
  follow: 'poll',
  hasKey: false,
  agent: 'answer',
  workMs: 100,
  receiverAsks: false,
};
export const WITH_WEBHOOK: PlannedExecution = { ...PLANNED, receiver: 'take' };

export const submitted: Sketch[] = [
  { kind: 'submit-sent', try: 1, api: 'api-1' } as Sketch,
  { kind: 'submit-answered', try: 1, sentAt: 0, status: 202, id: ID, retryAfter: true } as Sketch,
];
export const called = (call = 1, more: object = {}): Sketch =>
  ({ kind: 'agent-called', id: ID, call, attempt: call, caller: 'worker-1#1', ...more }) as Sketch;
export const answered = (call = 1, more: object = {}): Sketch =>
  ({ kind: 'agent-answered', id: ID, call, how: '200', gave: RIGHT, retryable: false, ...more }) as Sketch;
export const told = (channel: string, outcome: object = RIGHT, more: object = {}): Sketch =>
  ({ kind: 'told', id: ID, channel, askedAt: 0, outcome, ...more }) as Sketch;
export const callback = (status: number, gave: object = RIGHT, more: object = {}): Sketch =>
  ({ kind: 'callback-answered', id: ID, callback: 1, sentAt: 0, status, gave, ...more }) as Sketch;
export const arrived = (delivery = 1, more: object = {}): Sketch =>
  ({ kind: 'webhook-arrived', id: ID, delivery, webhookId: 'dlv_0', flaws: [], ...more }) as Sketch;
export const took = (delivery = 1, status = 204, more: object = {}): Sketch =>
  ({ kind: 'webhook-answered', delivery, how: 'take', status, ...more }) as Sketch;
export const attemptLog = (...statuses: (number | null)[]): Sketch =>
  ({
    kind: 'attempt-log',
    id: ID,
    attempts: statuses.map((http_status, i) => ({ attempt: i + 1, http_status, error: null })),
  }) as Sketch;
/** A whole log, as one reader has seen it. */
export const log = (more: object = {}): Sketch =>
  ({ kind: 'log', id: ID, channel: 'stream', digest: 'd', steps: [], talk: [], flaws: [], ...more }) as Sketch;
export const refused = (to: string, status: number, code: string, retryAfter = true): Sketch =>
  ({ kind: 'refused', to, sentAt: 0, status, code, retryAfter }) as Sketch;

export const happy = [...submitted, called(), answered(), told('temporal'), told('poll')];

/** The invariants that these facts break. */
export function broken(sketches: Sketch[], planned = PLANNED, disturbances: Disturbance[] = []): string[] {
  const facts = sketches.map((sketch, i) => ({ at: i * 100, n: 0, ...sketch }) as Fact);
  return [
    ...new Set(checkInvariants({ executions: [planned], facts, disturbances }).map(({ invariant }) => invariant)),
  ];
}

export function disturbance(what: string, from: number, to: number): Disturbance {
  return { fault: 'test', whats: [what], how: 'killed', from, to, inFlight: 1 };
}
