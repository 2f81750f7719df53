import { canonical, factsOf, TERMINAL } from './ledger.ts';
import type { FactOf, Outcome } from './ledger.ts';
import { disturbed } from './excuses.ts';
import type { Case, Invariant, Violation } from './promises.ts';
import { SPANS } from './stand.ts';

/** How far one API process may be behind another, or behind a webhook. */
const BEHIND_MS = 2_000;
/** All the pauses between the calls of an agent that cannot be reached, shortest to longest. */
const ALL_PAUSES_MS = 4_400;
/** A cancel request that was acknowledged ends an execution within this, the agent's grace included. */
const CANCEL_MS = 3_000 + Number(SPANS.PERDURE_CANCEL_GRACE_MS);
const SLACK_MS = 50;
const RETRY_MAX_MS = Number(SPANS.PERDURE_AGENT_RETRY_MAX_MS);

type Told = FactOf<'told'>;

/** I1, I2, I5 and LIVE: what became of one execution, and what was told of it. */
export function checkOutcomes(one: Case): Violation[] {
  const { planned, facts, disturbances } = one;
  const { n } = planned;
  const violations: Violation[] = [];
  const violate = (invariant: Invariant, what: string) => violations.push({ invariant, n, what });

  const ids = new Set(facts.flatMap((fact) => ('id' in fact && fact.id !== undefined ? [fact.id] : [])));
  if (ids.size > 1) violate('I1', `one request has become ${ids.size} executions: ${[...ids].join(', ')}`);
  for (const { id } of factsOf(facts, 'not-in-temporal')) violate('I1', `${id} is lost: Temporal does not have it`);
  for (const { id, status } of factsOf(facts, 'still-open')) violate('LIVE', `${id} is still ${status}`);

  const told = factsOf(facts, 'told');
  const [first] = told;
  if (!first) return violations;
  for (const next of told.slice(1)) {
    if (isSame(first.outcome, next.outcome)) continue;
    const invariant = told.some((other) => other.channel === next.channel && !isSame(other.outcome, next.outcome))
      ? 'I2'
      : 'I5';
    violate(invariant, `${next.channel} tells ${show(next.outcome)}, ${first.channel} told ${show(first.outcome)}`);
    return violations;
  }

  for (const open of factsOf(facts, 'told-open')) {
    const seen = told.find(({ at }) => at < open.askedAt);
    if (!seen) continue;
    // Who was told by webhook and asks then must find it; others may meet a process that is a little behind.
    if (open.channel === 'receiver-poll') violate('I5', `a poll after the webhook found ${open.status}`);
    else if (
      open.askedAt > seen.at + BEHIND_MS &&
      !disturbed(disturbances, ['temporal', 'link:api-temporal', 'api'], seen.at, open.at)
    )
      violate('I2', `${open.channel} told ${open.status} long after ${seen.channel} had told ${show(seen.outcome)}`);
  }

  // The fullest telling: Temporal's own close has no room for the text of a cancellation.
  const outcome =
    told.find(({ outcome: { error, result } }) => (error ?? result) !== undefined)?.outcome ?? first.outcome;
  const reason = whyNot(one, outcome, first);
  if (reason !== undefined) violate('I5', `${show(outcome)} is not right: ${reason}`);
  for (const callback of factsOf(facts, 'callback-answered'))
    if (callback.status === 200 && TERMINAL.includes(callback.gave.status) && !isSame(callback.gave, outcome))
      violate('I5', `the agent was told that ${show(callback.gave)} is recorded, the end is ${show(outcome)}`);
  for (const answer of factsOf(facts, 'submit-answered'))
    if (answer.code === undefined && answer.status !== 202 && !fits(answer.status, outcome))
      violate('I5', `HTTP ${answer.status} for ${outcome.status}`);
  return violations;
}

/** Why an outcome is neither the agent's nor the client's nor the plan's doing; undefined when it is. */
function whyNot(one: Case, outcome: Outcome, first: Told): string | undefined {
  const { planned, facts, disturbances } = one;
  const submittedAt = factsOf(facts, 'submit-sent')[0]?.at ?? 0;
  const gave = [
    ...factsOf(facts, 'agent-answered').flatMap(({ at, gave }) => (gave ? [{ at, gave }] : [])),
    ...factsOf(facts, 'callback-sent'),
  ].filter((given) => isSame(given.gave, outcome));
  const cancel = factsOf(facts, 'cancel-answered').find(({ status }) => status === 202);
  /** Whether it had been cancelled so long before `at` that nothing else could end it any more. */
  const wasCancelled = (at: number) =>
    cancel !== undefined &&
    at > cancel.at + CANCEL_MS &&
    !disturbed(disturbances, ['temporal', 'worker', 'link', 'api'], cancel.sentAt, at);

  switch (outcome.status) {
    case 'succeeded': {
      const [given] = gave;
      if (!given) return 'no agent gave it';
      if (wasCancelled(given.at)) return 'a cancel request had been acknowledged long before';
      return undefined;
    }
    case 'failed': {
      const tries = factsOf(facts, 'agent-called').map(({ attempt }) => attempt);
      const isRefusal = planned.agent === 'refuse' || outcome.error?.startsWith('changed my mind') === true;
      if (isRefusal) return gave.length > 0 ? undefined : 'no agent gave it';
      const lastTry = Math.max(0, ...tries);
      const maxTries = Number(SPANS.PERDURE_AGENT_MAX_ATTEMPTS);
      if (lastTry >= maxTries) return undefined;
      // The last one may have died with its worker before it got to the agent.
      const isLost = outcome.error?.startsWith('The worker that called the agent last died') === true;
      if (isLost && lastTry === maxTries - 1 && disturbed(disturbances, ['worker'], submittedAt, first.at))
        return undefined;
      // Calls that never got to the agent are not in the ledger; but all the pauses between them take their time.
      const mayBeUnreachable = outcome.error?.startsWith('agent unreachable') === true;
      if (mayBeUnreachable && first.at - submittedAt >= ALL_PAUSES_MS) return undefined;
      if (hasNoTimeLeft(one)) return undefined;
      // Nor are those in the ledger that were refused while the link was cut: the pause after the last was too long.
      const isCut = disturbed(disturbances, ['link:worker-agent'], submittedAt, first.at) !== undefined;
      if (mayBeUnreachable && isCut && first.at + RETRY_MAX_MS >= submittedAt + limitOf(planned)) return undefined;
      return `the agent gave it no reason in ${tries.length} calls`;
    }
    case 'timeout': {
      const limitMs = limitOf(planned);
      if (wasCancelled(first.at)) return 'a cancel request had been acknowledged long before';
      if (first.at - submittedAt >= limitMs - SLACK_MS) return undefined;
      return `its limit is ${limitMs} ms, and it was over after ${Math.round(first.at - submittedAt)} ms`;
    }
    case 'cancelled':
      if (!facts.some((fact) => fact.kind === 'cancel-sent' && fact.at < first.at)) return 'nobody had cancelled it';
      if (outcome.error !== undefined && !outcome.error.includes(`plan ${planned.n}`)) return 'the reason is another';
      return undefined;
    default:
      return 'there is no such end';
  }
}

/** Whether another call would have come after the limit: then the execution ends with what the last one brought. */
function hasNoTimeLeft({ planned, facts }: Case): boolean {
  const submittedAt = factsOf(facts, 'submit-sent')[0]?.at ?? 0;
  const nextCalls = [
    ...factsOf(facts, 'agent-answered').flatMap(({ retryable, at, notBefore = 0 }) =>
      retryable ? [Math.max(notBefore, at + RETRY_MAX_MS)] : [],
    ),
    ...factsOf(facts, 'agent-cut').map(({ at }) => at + RETRY_MAX_MS),
  ];
  return Math.max(...nextCalls) >= submittedAt + limitOf(planned);
}

function limitOf({ timeoutMs = Infinity, way }: Case['planned']): number {
  return Math.min(timeoutMs, way === 'sync' ? Number(SPANS.PERDURE_SYNC_LIMIT_MS) : Infinity);
}

export function isSame(a: Outcome, b: Outcome): boolean {
  const agree = (x: string | undefined, y: string | undefined) => x === undefined || y === undefined || x === y;
  return a.status === b.status && agree(a.result, b.result) && agree(a.error, b.error);
}

/** A 4xx of the agent's is passed on. */
function fits(httpStatus: number, { status, error }: Outcome): boolean {
  switch (status) {
    case 'succeeded':
      return httpStatus === 200;
    case 'failed':
      return httpStatus === Number(/^agent error \((4\d\d)\)/.exec(error ?? '')?.[1] ?? 502);
    case 'timeout':
      return httpStatus === 504;
    default:
      return httpStatus === 409;
  }
}

function show(outcome: Outcome): string {
  return canonical(outcome);
}
