/** Suite `open-loop`: submit to webhook at a given rate, timed from the scheduled send. */
import { runBlock } from './cost.ts';
import { cpuBetween, isNoisy, readCpu } from './cpu.ts';
import type { CpuUse, Pids } from './cpu.ts';
import { openLoop } from './load.ts';
import type { Turn } from './load.ts';
import { median, quantile } from './statistics.ts';
import { createSubjects, PEER_OF, SUBJECTS } from './subjects.ts';
import type { SubjectName } from './subjects.ts';
import { errorLine, factLines, noiseLine } from './suite.ts';
import type { Suite } from './suite.ts';
import { number, table } from './table.ts';

interface OpenBlock {
  subject: SubjectName;
  sharePct: number;
  round: number;
  ratePerS: number;
  turns: Turn[];
  errors: string[];
  cpu: CpuUse;
}

const WANTED: SubjectName[] = ['bareStart', 'perdureStart', 'restateStart', 'dbosStart'];
const SATURATING = 64;
/** Enough for a p99 that is not just the worst, in bounded time. */
const MIN_SENDS = 60;

export const openLoopSuite: Suite = async ({ plan, startStand, startPeers, say }) => {
  const { quick } = plan;
  const shares = quick ? [10, 60] : [10, 30, 60];
  const rounds = plan.rounds ?? (quick ? 1 : 3);
  const blockS = quick ? { saturation: 2, least: 2, most: 5 } : { saturation: 5, least: 10, most: 30 };
  const stand = await startStand();
  const { peers, notes } = await startPeers();
  const subjects = await createSubjects(stand, peers);
  const pids = () => Object.assign(stand.pids(), ...peers.map((peer) => peer.pids())) as Pids;
  const names = WANTED.filter((name) => {
    const peer = PEER_OF[name];
    return peer === undefined || peers.some((each) => each.name === peer);
  });

  const saturation = new Map<SubjectName, number>();
  for (const subject of names) {
    const probe = { subject, concurrency: SATURATING, round: 0, seconds: blockS.saturation };
    const { turns, seconds } = await runBlock(probe, subjects, pids);
    saturation.set(subject, turns.length / seconds);
    say(`saturation at c=${SATURATING}  ${SUBJECTS[subject].padEnd(40)} ${(turns.length / seconds).toFixed(1)}/s`);
  }

  const blocks: OpenBlock[] = [];
  for (let round = 1; round <= rounds; round++) {
    const order = round % 2 === 1 ? names : names.toReversed();
    for (const sharePct of shares)
      for (const subject of order) {
        const ratePerS = ((saturation.get(subject) ?? 0) * sharePct) / 100;
        if (!(ratePerS > 0)) throw new Error(`${SUBJECTS[subject]} did nothing at c=${SATURATING}`);
        const seconds = Math.min(blockS.most, Math.max(blockS.least, MIN_SENDS / ratePerS));
        const count = Math.max(1, Math.round(ratePerS * seconds));
        const before = readCpu(pids());
        const result = await openLoop({ ratePerS, count, turn: subjects.turns[subject] });
        blocks.push({ subject, sharePct, round, ratePerS, ...result, cpu: cpuBetween(before, readCpu(pids())) });
        const p50 = median(timesOf(result.turns)).toFixed(1);
        say(`round ${round}/${rounds}  ${sharePct} %  ${SUBJECTS[subject].padEnd(40)} p50 ${p50} ms`);
      }
  }
  const serverVersion = await subjects.serverVersion();
  await subjects.close();
  return render(blocks, saturation, { shares, rounds, serverVersion, notes });
};

const timesOf = (turns: Turn[]) => turns.map(({ webhookMs }) => webhookMs).filter((ms) => ms !== undefined);

interface Facts {
  shares: number[];
  rounds: number;
  serverVersion: string;
  notes: string[];
}

function render(blocks: OpenBlock[], saturation: Map<SubjectName, number>, facts: Facts): string {
  const header = ['', 'share', 'sends per s', 'p50 ms', 'p99', 'p50 divided by B', 'sends', 'blocks'];
  const rows = facts.shares.flatMap((sharePct) =>
    [...saturation.keys()].map((subject) => {
      const all = blocks.filter((block) => block.subject === subject && block.sharePct === sharePct);
      const clean = all.filter((block) => !isNoisy(block.cpu));
      const used = clean.length > 0 ? clean : all;
      const times = timesOf(used.flatMap(({ turns }) => turns));
      return [
        SUBJECTS[subject],
        `${sharePct} %`,
        number(used[0]?.ratePerS, 1),
        number(median(used.map(({ turns }) => median(timesOf(turns)))), 1),
        number(quantile(times, 0.99), 1),
        subject === 'bareStart' ? '' : ratioToBare(blocks, subject, sharePct),
        String(times.length),
        clean.length > 0 ? `${clean.length} of ${all.length}` : `${all.length} *`,
      ];
    }),
  );
  return [
    '## Open loop: submit to webhook under load',
    '',
    ...factLines(facts.serverVersion),
    `- Blocks: ${facts.rounds} per point, alternating`,
    ...facts.notes.map((note) => `- ${note}`),
    noiseLine(blocks.map(({ cpu }) => cpu)),
    errorLine(blocks.flatMap(({ errors }) => errors)),
    '',
    table(
      ['', `saturation per s, c=${SATURATING}`],
      [...saturation].map(([subject, rate]) => [SUBJECTS[subject], number(rate, 1)]),
    ),
    '',
    table(header, rows),
    '',
    '- Sends are evenly spaced and wait for nothing. Times are from the scheduled send to the arrival of the webhook.',
    '- Each subject is loaded with a share of its own saturation, found by a short closed loop before: faster systems get',
    '  more sends per second. The ratio is the median over the rounds, and from least to greatest.',
    '- p99 is over all sends of all counted blocks; `*` marks points where every block was noisy.',
    '',
  ].join('\n');
}

function ratioToBare(blocks: OpenBlock[], subject: SubjectName, sharePct: number): string {
  const here = blocks.filter((block) => block.sharePct === sharePct);
  const ratios = here
    .filter((block) => block.subject === subject)
    .map((block) => {
      const bare = here.find((other) => other.subject === 'bareStart' && other.round === block.round);
      return median(timesOf(block.turns)) / median(timesOf(bare?.turns ?? []));
    })
    .filter((ratio) => Number.isFinite(ratio));
  if (ratios.length === 0) return '-';
  return `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)})`;
}
