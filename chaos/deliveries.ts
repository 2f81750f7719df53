import { disturbed } from './excuses.ts';
import type { Case, Violation } from './promises.ts';
import { factsOf } from './ledger.ts';
import type { Fact, FactOf, LoggedAttempt } from './ledger.ts';
import { SPANS } from './stand.ts';

const RECORDING_MS = 3_000;
const EARLY_MS = 20;
const GONE = 410;
/** What a worker may take of an endless answer, with all that buffers on the way hold. */
const MAX_TAKEN_BYTES = 16 * 1024 * 1024;

/** One attempt as the receiver saw it. `status` is null where it gave none, or none that left. */
export interface Delivery {
  at: number;
  delivery: number;
  status: number | null;
  settledAt: number;
  notBefore?: number;
}

export function deliveriesOf(facts: readonly Fact[]): Delivery[] {
  const answers = factsOf(facts, 'webhook-answered');
  const silences = factsOf(facts, 'webhook-unanswered');
  return factsOf(facts, 'webhook-arrived').map(({ at, delivery }) => {
    const answer = answers.find((one) => one.delivery === delivery);
    const silence = silences.find((one) => one.delivery === delivery);
    return {
      at,
      delivery,
      status: answer?.status ?? null,
      settledAt: (answer ?? silence)?.at ?? Infinity,
      ...(answer?.notBefore !== undefined && { notBefore: answer.notBefore }),
    };
  });
}

const isTaken = ({ status }: Delivery) => status !== null && status >= 200 && status < 300;

/** How many came although the receiver had taken one before: allowed, and counted. */
export function duplicatesIn(facts: readonly Fact[]): number {
  const deliveries = deliveriesOf(facts);
  const first = deliveries.findIndex(isTaken);
  return first < 0 ? 0 : deliveries.length - first - 1;
}

/** I4: the webhook of one execution, as its receiver saw it and as Perdure's own log tells it. */
export function checkDeliveries({ planned, facts, disturbances }: Case): Violation[] {
  const { n } = planned;
  const violations: Violation[] = [];
  const violate = (what: string) => violations.push({ invariant: 'I4', n, what });
  const arrived = factsOf(facts, 'webhook-arrived');
  for (const { delivery, flaws } of arrived) for (const flaw of flaws) violate(`webhook ${delivery}: ${flaw}`);
  const names = new Set(arrived.map(({ webhookId }) => webhookId));
  if (names.size > 1) violate(`attempts of one webhook have several webhook-ids: ${[...names].join(', ')}`);
  for (const { delivery, found } of factsOf(facts, 'webhook-read'))
    if (found === 'not-in-history') violate(`webhook ${delivery} came before its outcome was in history`);
  if (factsOf(facts, 'redirect-followed').length > 0) violate('a redirect was followed');
  for (const { bytes } of factsOf(facts, 'answer-drained'))
    if (bytes > MAX_TAKEN_BYTES) violate(`${bytes} bytes of an endless answer were read`);

  const deliveries = deliveriesOf(facts);
  for (const [i, delivery] of deliveries.entries()) {
    const before = deliveries[i - 1];
    if (before) checkRepeat(before, delivery);
  }
  for (const log of factsOf(facts, 'attempt-log')) checkLog(log);
  return violations;

  function checkRepeat(before: Delivery, next: Delivery): void {
    if (before.notBefore !== undefined && next.at < before.notBefore - EARLY_MS)
      violate(`webhook ${next.delivery} came before the Retry-After of the one before`);
    if (!isTaken(before) && before.status !== GONE) return;
    const excuse = disturbed(
      disturbances,
      ['worker', 'temporal', 'link:worker-temporal', 'link:worker-receiver'],
      before.at,
      Math.min(next.at, before.settledAt + RECORDING_MS),
      RECORDING_MS,
    );
    if (!excuse)
      violate(`webhook ${next.delivery} came although ${before.delivery} had been answered ${before.status}`);
  }

  /** Whether a fault may have kept Perdure from learning of the answer that left. */
  function mayBeUnknown({ at, settledAt }: Delivery): boolean {
    const whats = ['worker', 'temporal', 'link:worker-temporal', 'link:worker-receiver'];
    return disturbed(disturbances, whats, at, settledAt + RECORDING_MS, RECORDING_MS) !== undefined;
  }

  function checkLog({ attempts }: FactOf<'attempt-log'>): void {
    if (!planned.receiver) {
      if (attempts.length > 0 || deliveries.length > 0) violate('a webhook that nobody had registered');
      return;
    }
    if (!facts.some((fact) => fact.kind === 'told' && fact.channel === 'temporal')) return;
    if (attempts.some(({ attempt }, i) => attempt !== i + 1)) violate('the attempts are not numbered without gaps');
    const isExhausted =
      attempts.length >= Number(SPANS.PERDURE_WEBHOOK_MAX_ATTEMPTS) || attempts.at(-1)?.http_status === GONE;
    if (!deliveries.some(isTaken) && !isExhausted) violate(`given up after ${attempts.length} attempts`);
    if (!isAccountFor(attempts, deliveries, mayBeUnknown))
      violate(
        `the log ${show(attempts.map(({ http_status }) => http_status))} is not what the receiver saw: ` +
          show(deliveries.map(({ status }) => status)),
      );
  }
}

/**
 * Whether a log tells exactly what the receiver saw, in order. One with a status must have been answered with it. An
 * attempt without one may have arrived or not; answered it was only if the answer may not have become known.
 */
export function isAccountFor(
  log: readonly LoggedAttempt[],
  seen: readonly Delivery[],
  mayBeUnknown: (delivery: Delivery) => boolean,
): boolean {
  const [logged, ...restOfLog] = log;
  const [delivery, ...restSeen] = seen;
  const isRestAccounted = (left: readonly Delivery[]) => isAccountFor(restOfLog, left, mayBeUnknown);
  if (!logged) return delivery === undefined;
  if (logged.http_status !== null) return delivery?.status === logged.http_status && isRestAccounted(restSeen);
  const mayBeThisOne = delivery !== undefined && (delivery.status === null || mayBeUnknown(delivery));
  return isRestAccounted(seen) || (mayBeThisOne && isRestAccounted(restSeen));
}

function show(statuses: (number | null)[]): string {
  return `[${statuses.map((status) => status ?? 'none').join(', ')}]`;
}
