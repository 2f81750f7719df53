/** Suite `recover`: a part is killed as by kill -9 with work in flight, and started again one second later. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { callAgentAndNotify } from './baseline-workflows.ts';
import { createBenchClient, INPUT, WEBHOOK_SECRET } from './client.ts';
import type { BenchClient } from './client.ts';
import type { Part } from './part.ts';
import type { Peer } from './peers/peer.ts';
import { NODE_NAME } from './processes.ts';
import type { Stand } from './processes.ts';
import { startReceiver } from './receiver.ts';
import type { Expected, Receiver } from './receiver.ts';
import { outcomeOf, summarize } from './recovery.ts';
import type { Recovered } from './recovery.ts';
import { factLines } from './suite.ts';
import type { Suite } from './suite.ts';
import { number, table } from './table.ts';

/** A system under fault: how work gets in, and what may be killed. */
interface Candidate {
  name: string;
  /** How the agent behaves; executions take turns. */
  behaviours: string[];
  /** One try. Throws if the work was not taken; gives the id under which the agent is called. */
  submit: (work: Work) => Promise<string>;
  victims: Record<string, { kill: () => Promise<void>; restart: () => Promise<void> | void }>;
  /** How many of these did not end as they should, where the system tells. */
  countFailed?: (executionIds: string[]) => Promise<number>;
}

interface Work {
  key: string;
  behaviour: string;
  webhookUrl: string;
}

interface Load {
  ratePerS: number;
  seconds: number;
  killAtS: number;
  workMs: number;
}

const FULL: Load = { ratePerS: 10, seconds: 12, killAtS: 6, workMs: 4_000 };
const QUICK: Load = { ratePerS: 5, seconds: 5, killAtS: 3, workMs: 2_000 };

const DOWN_MS = 1_000;
const RETRY_MS = 200;
/** Whatever is not told by then counts as lost. */
const PATIENCE_MS = 180_000;
/** For second webhooks that come late. */
const AFTERMATH_MS = 3_000;

export const recover: Suite = async ({ plan, startStand, startPeers, say }) => {
  const load = plan.quick ? QUICK : FULL;
  const rounds = plan.rounds ?? (plan.quick ? 1 : 5);
  const stand = await startStand();
  const { peers, notes } = await startPeers();
  const http = createBenchClient();
  const receiver = await startReceiver();
  const connection = await Connection.connect({ address: stand.temporal.address });
  const serverVersion = (await connection.workflowService.getSystemInfo({})).serverVersion ?? 'unknown';
  const candidates = [
    perdure(stand, http, load),
    bare(stand, new Client({ connection }), load),
    ...peers.map((peer) => ofPeer(peer, stand, load)),
  ];

  const runs: { candidate: string; victim: string; executions: Recovered[]; failed: number | undefined }[] = [];
  for (let round = 1; round <= rounds; round++)
    for (const candidate of candidates)
      for (const victim of Object.keys(candidate.victims)) {
        const run = await killOnce(candidate, victim, load, receiver, stand);
        runs.push({ candidate: candidate.name, victim, ...run });
        const { inFlight, lost } = summarize(run.executions);
        say(`round ${round}/${rounds}  ${candidate.name}, ${victim} killed: ${inFlight} in flight, ${lost} lost`);
      }
  receiver.close();
  await http.close();
  await connection.close();

  const keys = candidates.flatMap(({ name, victims, behaviours }) =>
    Object.keys(victims).flatMap((victim) => behaviours.map((behaviour) => ({ name, victim, behaviour }))),
  );
  const rows = keys.map(({ name, victim, behaviour }) => {
    const of = runs.filter((run) => run.candidate === name && run.victim === victim);
    const executions = of.flatMap((run) => run.executions).filter((each) => each.behaviour === behaviour);
    const failed = of.some((run) => run.failed !== undefined)
      ? String(of.reduce((sum, run) => sum + (run.failed ?? 0), 0))
      : '';
    return row(`${name}, agent ${BEHAVIOURS[behaviour]}`, victim, executions, failed);
  });
  return render(rows, { load, rounds, serverVersion, notes });
};

const BEHAVIOURS: Record<string, string> = { slow: 'answers', later: 'answers 202' };

async function killOnce(candidate: Candidate, victimName: string, load: Load, receiver: Receiver, stand: Stand) {
  const victim = candidate.victims[victimName];
  if (!victim) throw new Error(`no victim ${victimName}`);
  const count = load.ratePerS * load.seconds;
  const running = Array.from({ length: count }, async (_, i) => {
    await sleep((i * 1000) / load.ratePerS);
    const behaviour = candidate.behaviours[i % candidate.behaviours.length] ?? '';
    return oneExecution(candidate, behaviour, receiver);
  });
  await sleep(load.killAtS * 1000);
  await victim.kill();
  const killedAt = performance.now();
  await sleep(DOWN_MS);
  await victim.restart();
  const done = await Promise.all(running);
  await sleep(AFTERMATH_MS);

  const calls = await stand.agentCalls();
  const executions = done.map((each) =>
    outcomeOf({ ...each, webhooks: each.expected.count(), agentCalls: calls[each.executionId] ?? 0 }, killedAt),
  );
  const ids = done.map((each) => each.executionId);
  const failed = await candidate.countFailed?.(ids);
  return { executions, failed };
}

async function oneExecution(candidate: Candidate, behaviour: string, receiver: Receiver) {
  const expected: Expected = receiver.expect({ deadlineMs: PATIENCE_MS });
  const sentAt = performance.now();
  const work = { key: randomUUID(), behaviour, webhookUrl: expected.url };
  const executionId = await untilTaken(() => candidate.submit(work));
  const endedAt = await expected.arrival.catch(() => undefined);
  return { executionId, behaviour, sentAt, endedAt, expected };
}

/** As a client does it that wants to be sure: under the same key, until it is told yes. */
async function untilTaken(submit: () => Promise<string>): Promise<string> {
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await submit();
    } catch (err) {
      if (Date.now() > until) throw err;
      await sleep(RETRY_MS);
    }
  }
}

function perdure(stand: Stand, http: BenchClient, load: Load): Candidate {
  const base = `${stand.apiUrl}/api/v1`;
  return {
    name: 'C Perdure',
    behaviours: ['slow', 'later'],
    submit: async ({ key, behaviour, webhookUrl }) => {
      const input = { ...INPUT, work_ms: load.workMs };
      const body = { input, webhook: { url: webhookUrl, secret: WEBHOOK_SECRET } };
      const path = `${base}/execute/async/${NODE_NAME}.${behaviour}`;
      return (await http.send(path, body, { 'idempotency-key': key })).executionId;
    },
    victims: { worker: all(stand.workers), API: all(stand.apis), 'Temporal server': stand.temporal },
    countFailed: async (executionIds) => {
      const { text } = await http.send(`${base}/executions/batch-status`, { execution_ids: executionIds });
      const views = Object.values(JSON.parse(text) as Record<string, { status: string }>);
      return views.filter(({ status }) => status !== 'succeeded').length;
    },
  };
}

function bare(stand: Stand, client: Client, load: Load): Candidate {
  return {
    name: 'B bare SDK',
    behaviours: ['slow'],
    submit: async ({ key, behaviour, webhookUrl }) => {
      const workflowId = `bare-${key}`;
      const agentUrl = `${stand.agentUrl}/reasoners/${behaviour}`;
      const input = { ...INPUT, work_ms: load.workMs };
      const args: Parameters<typeof callAgentAndNotify> = [{ agentUrl, input, executionId: workflowId, webhookUrl }];
      await client
        .withDeadline(Date.now() + 5_000, () =>
          client.workflow.start('callAgentAndNotify', { workflowId, taskQueue: stand.baselineTaskQueue, args }),
        )
        .catch((err: unknown) => {
          if (!(err instanceof WorkflowExecutionAlreadyStartedError)) throw err;
        });
      return workflowId;
    },
    victims: { worker: all(stand.baseline ? [stand.baseline] : []), 'Temporal server': stand.temporal },
  };
}

function ofPeer(peer: Peer, stand: Stand, load: Load): Candidate {
  return {
    name: peer.title,
    behaviours: ['slow'],
    submit: async ({ key, behaviour, webhookUrl }) => {
      const agentUrl = `${stand.agentUrl}/reasoners/${behaviour}`;
      const input = { ...INPUT, work_ms: load.workMs };
      await peer.submit({ id: key, agentUrl, input, webhookUrl, mayRepeat: true });
      return key;
    },
    victims: Object.fromEntries(Object.entries(peer.parts).map(([name, part]) => [name, all([part])])),
  };
}

function all(parts: Part[]): Candidate['victims'][string] {
  return {
    kill: async () => void (await Promise.all(parts.map((part) => part.kill()))),
    restart: () => {
      for (const part of parts) part.restart();
    },
  };
}

function row(name: string, victim: string, executions: Recovered[], failed: string): string[] {
  const { inFlight, p50, p99, calledAgain, toldAgain, lost } = summarize(executions);
  return [
    name,
    victim,
    String(executions.length),
    String(inFlight),
    number(p50 / 1000, 2),
    number(p99 / 1000, 2),
    String(calledAgain),
    String(toldAgain),
    String(lost),
    failed,
  ];
}

interface Facts {
  load: Load;
  rounds: number;
  serverVersion: string;
  notes: string[];
}

function render(rows: string[][], { load, rounds, serverVersion, notes }: Facts): string {
  const { ratePerS, seconds, killAtS, workMs } = load;
  return [
    '## Recover: kill -9 with work in flight',
    '',
    ...factLines(serverVersion),
    `- Load: ${ratePerS} submits per s for ${seconds} s, whose agent works for ${workMs / 1000} s; the kill ${killAtS} s after the`,
    `  first, the restart ${DOWN_MS / 1000} s after the kill; ${rounds} kills of each`,
    ...notes.map((note) => `- ${note}`),
    '',
    table(
      [
        '',
        'killed',
        'executions',
        'in flight',
        'to the end p50 s',
        'p99 s',
        'agent called again',
        'webhook again',
        'lost',
        'not succeeded',
      ],
      rows,
    ),
    '',
    '- "in flight": submitted before the kill and not yet told. "to the end" is from the kill to their webhook, and holds',
    `  the second of downtime and what was left of the agent's ${workMs / 1000} s.`,
    '- "again" counts executions whose agent was called, or whose receiver was told, more than once. A call that was open',
    '  in the process that died must be made again, for nobody knows its answer; a webhook whose receipt was not recorded',
    '  is sent again under the same `webhook-id`.',
    `- "lost": accepted, and not told within ${PATIENCE_MS / 1000} s. "not succeeded" is what the API says of all executions of these`,
    '  runs at the end, for both kinds of agent together.',
    '- Clients submit under one key until they are told yes. An agent that has answered 202 posts its result until it is',
    '  taken. Perdure and the bare SDK have their default settings: Perdure takes a worker for dead after 10 s without a',
    '  heartbeat; the activities of the bare SDK have no heartbeat, as its documentation begins, so a call that died with',
    '  its worker is made again after `startToCloseTimeout`, one minute.',
    '',
  ].join('\n');
}
