/**
 * Measures, in one run on one machine, what Perdure costs on top of the bare Temporal SDK and of a direct call of the
 * agent, and what other systems take for the same: `npm run bench`, see `--help`.
 */
import { cost } from './cost.ts';
import { isIsolated, runIsolated } from './isolate.ts';
import { longPoll } from './long-poll.ts';
import { memory } from './memory.ts';
import { openLoopSuite } from './open-loop.ts';
import { HELP, readPlan } from './options.ts';
import { installPeers } from './peers/install.ts';
import { startPeers } from './peers/start.ts';
import { ensureTemporalCli, startStand } from './processes.ts';
import { pollers } from './pollers.ts';
import { recover } from './recover.ts';
import { saveSection } from './results.ts';
import { scale } from './scale.ts';
import { shapes } from './shapes.ts';
import { startUp } from './start-up.ts';
import { streams } from './streams.ts';
import type { Context, Plan, Suite, SuiteName } from './suite.ts';
import { buildTemporalServer } from './temporal-postgres.ts';

const SUITES: Record<SuiteName, Suite> = {
  cost,
  'open-loop': openLoopSuite,
  shapes,
  recover,
  memory,
  'start-up': startUp,
  'long-poll': longPoll,
  streams,
  pollers,
  scale,
};

const say = (line: string) => void process.stderr.write(`${line}\n`);

interface Stoppable {
  stop: () => Promise<void>;
}

async function main(): Promise<void> {
  const plan = readPlan(process.argv.slice(2));
  if (!plan) {
    process.stdout.write(HELP);
    return;
  }
  if (plan.withPeers && !isIsolated()) {
    // What comes from outside is fetched before.
    ensureTemporalCli();
    installPeers(say);
    if (plan.suites.includes('scale')) buildTemporalServer(say);
    const code = await runIsolated();
    if (code !== undefined) process.exit(code);
  }
  const started: Stoppable[] = [];
  let stopped = Promise.resolve();
  const stopAll = () => {
    // One after the other: who is interrupted stops parts while the suite that fails for it wants to, too.
    stopped = stopped.then(async () => {
      for (const part of started.splice(0).toReversed()) await part.stop();
    });
    return stopped;
  };
  // A second Ctrl-C finds no handler and ends this process at once.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stopAll().finally(() => process.exit(130)));

  for (const name of plan.suites) {
    try {
      const section = await SUITES[name](contextOf(plan, started));
      process.stdout.write(`\n${section.trim()}\n`);
      // At once: what an interrupted run has measured stays.
      if (plan.out) await saveSection(plan.out, name, section);
    } finally {
      await stopAll();
    }
  }
}

function contextOf(plan: Plan, started: Stoppable[]): Context {
  const stopAtEnd = <T extends Stoppable>(part: T): T => {
    started.push(part);
    return part;
  };
  return {
    plan,
    say,
    stopAtEnd,
    startStand: (options) => startStand({ profiles: plan.profiles, ...options }, stopAtEnd),
    startPeers: async () => {
      if (!plan.withPeers) return { peers: [], notes: ['Peers: not in this run (`--peers`)'] };
      const set = await startPeers(say);
      for (const peer of set.peers) stopAtEnd(peer);
      return set;
    },
  };
}

main().then(
  () => process.exit(),
  (err: unknown) => {
    process.stderr.write(`bench: ${err instanceof Error ? err.message : String(err)}\n`);
    process.exit(1);
  },
);
