import type { Balance } from './balance.ts';
import { duplicatesIn } from './deliveries.ts';
import { clopperPearson, quantile } from './interval.ts';
import { INVARIANTS } from './promises.ts';
import type { Invariant, Violation } from './promises.ts';
import { byExecution, factsOf, story } from './ledger.ts';
import type { Disturbance, Fact, Ledger } from './ledger.ts';
import type { Plan } from './plan.ts';
import { SPANS } from './stand.ts';

export interface RunFacts {
  plan: Plan;
  ledger: Ledger;
  balance: Balance;
  violations: Violation[];
  startedAt: number;
  /** What was planned and cannot be done here. */
  notPlanned: string[];
  commit: string;
  isOneProcess: boolean;
  /** Makes the same run again. */
  command: string;
  machine: string;
  date: string;
  liveS: number;
  deadlineS: number;
}

const STORIES_PER_INVARIANT = 2;

export function summaryLine(run: RunFacts): string {
  const { plan, ledger, balance, violations, commit } = run;
  const count = (...of: Invariant[]) => violations.filter(({ invariant }) => of.includes(invariant)).length;
  const wrong = new Set(
    violations.filter(({ invariant }) => ['I1', 'I2', 'I5', 'LIVE'].includes(invariant)).map(({ n }) => n),
  );
  const right = Math.max(0, balance.ended - wrong.size);
  const [low, high] = clopperPearson(right, balance.ended);
  const percent = (share: number) => (100 * share).toFixed(3);
  const early = factsOf(ledger.facts, 'webhook-read').filter(({ found }) => found === 'not-in-history').length;
  const duplicates = [...byExecution(ledger.facts).values()].reduce((sum, own) => sum + duplicatesIn(own), 0);
  const recovered = recoveriesOf(ledger.facts, ledger.disturbances);
  const seconds = (q: number) => (recovered.length === 0 ? '-' : `${(quantile(recovered, q) / 1000).toFixed(1)}s`);
  return [
    `N=${balance.submitted}`,
    `faults=${ledger.disturbances.filter(({ how }) => how !== 'starved').length}`,
    `success=${percent(balance.ended === 0 ? 0 : right / balance.ended)}% [${percent(low)}, ${percent(high)}]`,
    `lost=${count('I1', 'LIVE')}`,
    `wrong=${count('I2', 'I5')}`,
    `early=${early}`,
    `unexplained_calls=${count('I3')}`,
    `dup_webhooks=${duplicates}`,
    `recover p50/p99=${seconds(0.5)}/${seconds(0.99)}`,
    `seed=${plan.seed}`,
    `commit=${commit}`,
  ].join(' ');
}

/** From the moment that a killed process serves again to the end of each execution that was under way at the kill. */
function recoveriesOf(facts: readonly Fact[], disturbances: readonly Disturbance[]): number[] {
  const kills = disturbances.filter(({ how }) => how === 'killed');
  return [...byExecution(facts).values()].flatMap((own) => {
    const [submitted] = factsOf(own, 'submit-sent');
    const [told] = factsOf(own, 'told');
    // Who was cut off without a key asks no more: when such an execution ended, nobody saw.
    if (!submitted || !told || told.channel === 'temporal') return [];
    return kills.filter(({ from, to }) => submitted.at < from && told.at > to).map(({ to }) => told.at - to);
  });
}

/** Every broken promise, and all that is known of the first few executions concerned. */
export function violationsText({ violations, balance, ledger, plan, startedAt, command }: RunFacts): string {
  const lines = violations.map(
    ({ invariant, n, what }) => `${invariant} (${INVARIANTS[invariant]})\n  execution ${n}: ${what}`,
  );
  const concerned = new Set([
    ...balance.unknown.slice(0, STORIES_PER_INVARIANT),
    ...Object.keys(INVARIANTS).flatMap((name) =>
      [...new Set(violations.filter(({ invariant, n }) => invariant === name && n >= 0).map(({ n }) => n))].slice(
        0,
        STORIES_PER_INVARIANT,
      ),
    ),
  ]);
  const stories = [...concerned].map(
    (n) => `  execution ${n}, planned: ${JSON.stringify(plan.executions[n])}\n${story(ledger, n, startedAt)}`,
  );
  return [...lines, '', ...stories, '', `seed ${plan.seed}; again: ${command}`].join('\n');
}

function starvedS(disturbances: readonly Disturbance[]): string {
  const starved = disturbances.filter(({ how }) => how === 'starved');
  return (starved.reduce((sum, { from, to }) => sum + to - from, 0) / 1000).toFixed(1);
}

/** A section for bench/RESULTS.md. */
export function markdown(run: RunFacts): string {
  const { plan, ledger, balance, violations } = run;
  const kinds = new Map<string, number>();
  for (const { whats, how } of ledger.disturbances) {
    if (how === 'starved') continue;
    const name = `${whats.map((what) => what.replace(/-\d+#\d+$/, '')).join('/')} ${how}`;
    kinds.set(name, (kinds.get(name) ?? 0) + 1);
  }
  const spans = Object.entries(SPANS).map(([name, value]) => `\`${name}=${value}\``);
  return [
    `## Fault run, seed ${plan.seed}${run.isOneProcess ? ', API and worker in one process' : ''}`,
    '',
    '```',
    summaryLine(run),
    '```',
    '',
    `- Date: ${run.date}`,
    `- Command: \`${run.command}\``,
    `- Machine: ${run.machine}`,
    `- Account: ${balance.submitted} submitted = ${balance.ended} ended + ${balance.refused} refused + ${balance.cutOff} cut off`,
    `- Faults of the system: ${[...kinds].map(([name, count]) => `${name} ${count}`).join(', ') || 'none'}`,
    `- Faults of agents and receivers: ${plan.names.filter((name) => /^(agent|receiver):/.test(name)).join(', ') || 'none'}`,
    `- Not planned: ${run.notPlanned.join('; ') || 'nothing left out'}`,
    `- After the last fault everything ended within ${run.liveS} s (promised: ${run.deadlineS} s)`,
    `- The machine was too busy to judge by the clock for ${starvedS(ledger.disturbances)} s`,
    `- Broken promises: ${violations.length}`,
    `- Time compressed by ${spans.join(', ')}`,
  ].join('\n');
}
