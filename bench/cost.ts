/** Suite `cost`: latency, rate and CPU of all subjects in a closed loop, in alternating blocks. */
import { cpuBetween, readCpu } from './cpu.ts';
import type { CpuReading, Pids } from './cpu.ts';
import { closedLoop } from './load.ts';
import { renderReport } from './report.ts';
import type { Block } from './report.ts';
import { createSubjects, PEER_OF, SUBJECTS } from './subjects.ts';
import type { SubjectName, Subjects } from './subjects.ts';
import type { Suite } from './suite.ts';

/** Share of a block's length that runs before its window opens. */
const WARM_UP = 0.2;
const SAMPLED_WORKFLOWS = 2;

export const cost: Suite = async ({ plan, startStand, startPeers, say }) => {
  const stand = await startStand({ withServe: true });
  const { peers, notes } = await startPeers();
  const subjects = await createSubjects(stand, peers);
  const pids = () => Object.assign(stand.pids(), ...peers.map((peer) => peer.pids())) as Pids;
  const names = (plan.subjects ?? (Object.keys(SUBJECTS) as SubjectName[])).filter((name) => {
    const peer = PEER_OF[name];
    return peer === undefined || peers.some((each) => each.name === peer);
  });
  const rounds = plan.rounds ?? (plan.quick ? 2 : 5);

  const blocks: Block[] = [];
  for (let round = 1; round <= rounds; round++) {
    // A B C, C B A, …: what drifts slowly meets all subjects alike.
    const order = round % 2 === 1 ? names : names.toReversed();
    for (const concurrency of plan.concurrencies)
      for (const subject of order) {
        const block = await runBlock({ subject, concurrency, round, seconds: plan.seconds }, subjects, pids);
        blocks.push(block);
        say(`round ${round}/${rounds}  c=${concurrency}  ${progressOf(block)}`);
      }
  }
  const serverVersion = await subjects.serverVersion();
  await subjects.close();
  return renderReport(blocks, { serverVersion, rounds, seconds: plan.seconds, notes });
};

export async function runBlock(
  { seconds, ...block }: Pick<Block, 'subject' | 'concurrency' | 'round'> & { seconds: number },
  subjects: Subjects,
  pids: () => Pids,
): Promise<Block> {
  const readings: CpuReading[] = [];
  const result = await closedLoop({
    concurrency: block.concurrency,
    warmUpMs: seconds * 1000 * WARM_UP,
    measureMs: seconds * 1000,
    turn: subjects.turns[block.subject],
    onWindow: () => readings.push(readCpu(pids())),
  });
  const [before, after] = readings;
  if (!before || !after) throw new Error('the window did not open and close');
  const cpu = cpuBetween(before, after);

  let size: Block['size'];
  const workflowIds = result.turns.map((turn) => turn.workflowId).filter((id) => id !== undefined);
  for (const workflowId of workflowIds.slice(-SAMPLED_WORKFLOWS)) size = await subjects.sizeOf(workflowId);
  return { ...block, ...result, cpu, size };
}

function progressOf({ subject, turns, seconds, cpu, errors }: Block): string {
  const rate = (turns.length / seconds).toFixed(1).padStart(7);
  const noise = `foreign ${cpu.foreignPct.toFixed(1)} %, steal ${cpu.stealPct.toFixed(1)} %`;
  const failed = errors.length > 0 ? `, ${errors.length} FAILED: ${errors[0]}` : '';
  return `${SUBJECTS[subject].padEnd(46)} ${rate}/s  ${noise}${failed}`;
}
