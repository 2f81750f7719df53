/**
 * Unmodified agents of AgentField's Python SDK, a new and an old version, call each other through Perdure while all of
 * them are killed. Skipped where there is no Python, or no package index to get the SDK from.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { nodeWorkflowId } from '../../workflows/node-contract.ts';
import { startProcesses } from '../support/processes.ts';
import type { Processes } from '../support/processes.ts';
import { sharedContext } from '../support/shared.ts';
import { temporalAddress } from '../support/system.ts';
import type { Body } from '../support/system.ts';
import { freePort, ROOT } from '../support/temporal.ts';
import { pythonWithAgentField } from './python.ts';

const NEW = '0.1.144';
/** Has no id for a process. Those up to 0.1.35 wait half a minute for agent memory before they take calls. */
const OLD = '0.1.41';
/** It looks every 30 s whether its heartbeats are taken, and tries to register every 10 s when they are not. */
const SDK_DEADLINE_MS = 60_000;

const shared = sharedContext();
const taskQueue = `test-${randomUUID()}`;
const folder = mkdtempSync(join(tmpdir(), 'perdure-agentfield-'));
let perdure: Processes;
const pairs: Pair[] = [];
let missing = '';

/** Two agents of one version of the SDK. */
interface Pair {
  version: string;
  asker: PythonAgent;
  shouter: PythonAgent;
}

interface PythonAgent {
  node: string;
  start: () => void;
  kill: () => Promise<void>;
  /** Waits until it takes calls, whether or not Perdure is there. */
  listening: () => Promise<void>;
}

before(async () => {
  const pythons = [];
  for (const version of [NEW, OLD]) {
    const python = await pythonWithAgentField(version);
    if ('missing' in python) {
      missing = python.missing;
      return;
    }
    pythons.push({ version, program: python.program });
  }
  perdure = await startProcesses(shared, {
    address: temporalAddress(),
    agentNodes: {},
    env: { PERDURE_TASK_QUEUE: taskQueue },
  });
  for (const { version, program } of pythons) {
    const suffix = version.replaceAll('.', '-');
    const shouter = await pythonAgent(program, 'shouter.py', `shouter-${suffix}`);
    const asker = await pythonAgent(program, 'asker.py', `asker-${suffix}`, [shouter.node]);
    pairs.push({ version, asker, shouter });
  }
  for (const agent of agents()) agent.start();
});
after(async () => {
  await shared.close();
  rmSync(folder, { recursive: true });
});

const agents = (): PythonAgent[] => pairs.flatMap(({ asker, shouter }) => [asker, shouter]);

function testPairs(name: string, body: (t: TestContext) => Promise<void>): void {
  void test(name, async (t) => (missing ? t.skip(missing) : body(t)));
}

async function pythonAgent(program: string, file: string, node: string, more: string[] = []): Promise<PythonAgent> {
  const port = await freePort();
  let child: ChildProcess | undefined;
  const kill = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  shared.after(kill);
  return {
    node,
    kill,
    start: () => {
      child = spawn(program, [join(ROOT, 'test/agentfield', file), perdure.url, String(port), node, ...more], {
        cwd: folder,
        // Without it a library of the SDK asks the internet for prices of models before anything else.
        env: { ...process.env, LITELLM_LOCAL_MODEL_COST_MAP: 'True' },
        stdio: process.env.PERDURE_TEST_VERBOSE ? 'inherit' : 'ignore',
      });
    },
    listening: () =>
      eventually(`${node} listens`, async () => {
        assert.equal(child?.exitCode, null, `${node} has ended`);
        return fetch(`http://127.0.0.1:${port}/health`).then(
          ({ ok }) => ok,
          () => false,
        );
      }),
  };
}

/** Asks until it is so. */
async function eventually(what: string, isSo: () => Promise<unknown>, deadlineMs = SDK_DEADLINE_MS): Promise<void> {
  for (const deadline = Date.now() + deadlineMs; Date.now() < deadline; await sleep(100)) {
    if (await isSo()) return;
  }
  throw new Error(`not in time: ${what}`);
}

/** What is known of a node; undefined when it is not there, or Perdure is not. */
async function nodeOf({ node }: PythonAgent): Promise<Body> {
  const { status, body } = await perdure.get(`/api/v1/nodes/${node}`);
  return status === 200 ? body : undefined;
}

const registered = (agent: PythonAgent) =>
  eventually(`${agent.node} is registered`, async () => (await nodeOf(agent))?.health_status === 'active');

async function submit(target: string, input: object): Promise<Body> {
  const answer = await perdure.post(`/api/v1/execute/async/${target}`, { input });
  assert.equal(answer.status, 202, answer.text);
  return answer.body;
}

/** The executions of a run, as soon as they are as wanted: the list lags a little. */
async function runOf(runId: string, isWanted: (executions: Body[]) => boolean): Promise<Body[]> {
  let executions: Body[] = [];
  await eventually(`the run ${runId} is as wanted`, async () => {
    const { status, body } = await perdure.get(`/api/v1/executions?run_id=${runId}&limit=100`);
    if (status === 200) executions = body.executions;
    return isWanted(executions);
  });
  return executions;
}

testPairs('they register and are listed', async () => {
  await Promise.all(agents().map(registered));
  const { body } = await perdure.get('/api/v1/nodes');
  assert.deepEqual(
    body.nodes.map(({ id }: Body) => id),
    agents()
      .map(({ node }) => node)
      .toSorted(),
  );
  const capabilities = (await perdure.get('/api/v1/discovery/capabilities?format=compact')).body;
  for (const { asker, shouter } of pairs) {
    const targets = (list: Body[]) => list.map(({ target }) => target);
    assert.ok(targets(capabilities.reasoners).includes(`${asker.node}.count`));
    assert.ok(targets(capabilities.skills).includes(`${shouter.node}.add`));
  }
});

testPairs('their reasoners and skills are called, and call each other', async () => {
  for (const { version, asker, shouter } of pairs) {
    const sum = await perdure.post(`/api/v1/execute/${shouter.node}.add`, { input: { a: 2, b: 3 } });
    assert.deepEqual(sum.body.result, { sum: 5 }, `${version}: ${sum.text}`);
    const list = await perdure.post(`/api/v1/execute/${asker.node}.count`, { input: { n: 3 } });
    assert.deepEqual(list.body.result, [0, 1, 2], `${version}: ${list.text}`);
    const refused = await perdure.post(`/api/v1/execute/${shouter.node}.add`, { input: { a: 2 } });
    assert.equal(refused.status, 400, `${version}: the schema that the SDK has registered is held against the input`);

    const { execution_id: id, run_id: runId } = await submit(`${asker.node}.ask`, { question: 'who' });
    const end = await perdure.end(id);
    assert.deepEqual(end.result, { question: 'who', answer: { text: 'WHO' } }, `${version}: ${JSON.stringify(end)}`);
    const run = await runOf(runId, (executions) => executions.length === 2);
    const child = run.find(({ execution_id }) => execution_id !== id);
    assert.equal(child.parent_execution_id, id, version);
    assert.equal(child.target, `${shouter.node}.shout`);
    assert.equal(child.status, 'succeeded');
    // The old one posts its notes to the API of AgentField's own pages, which is not served.
    if (version === OLD) continue;
    const { notes } = (await perdure.get(`/api/v1/executions/${id}/notes`)).body;
    assert.deepEqual(
      notes.map(({ message, tags }: Body) => ({ message, tags })),
      [{ message: `asking ${shouter.node}`, tags: ['asked'] }],
    );
  }
});

testPairs('all are killed and restarted while a call is in flight: its tree ends right', async (t) => {
  const gate = join(folder, 'gate');
  const started = await Promise.all(
    pairs.map(async (pair) => {
      const { execution_id: id, run_id: runId } = await submit(`${pair.asker.node}.ask`, {
        question: pair.version,
        until: gate,
      });
      await runOf(runId, (executions) => executions.length === 2 && executions.every((one) => one.started_at));
      return { ...pair, id, runId, known: await Promise.all([pair.asker, pair.shouter].map(nodeOf)) };
    }),
  );
  await Promise.all([...agents(), perdure.api, perdure.worker].map((one) => one.kill()));
  const startAgain = async (version: string): Promise<void> => {
    const again = pairs.filter((pair) => pair.version === version).flatMap(({ asker, shouter }) => [asker, shouter]);
    for (const agent of again) agent.start();
    await Promise.all(again.map((agent) => agent.listening()));
  };
  // These are back before Perdure is, so their first registration fails.
  await startAgain(NEW);
  await Promise.all([perdure.api.start(), perdure.worker.start()]);
  const since = Date.now();
  // Without an id for its process, one that is back too soon would be taken for the one that had the call.
  for (const { asker, shouter } of started.filter(({ version }) => version === OLD)) {
    for (const agent of [asker, shouter]) {
      await eventually(`${agent.node} is lost`, async () => (await nodeOf(agent))?.health_status === 'inactive');
    }
  }
  await startAgain(OLD);
  for (const { version, asker, shouter, known } of started) {
    for (const [i, agent] of [asker, shouter].entries()) {
      await eventually(`${agent.node} has registered again`, async () => {
        const now = await nodeOf(agent);
        if (now?.health_status !== 'active') return false;
        return version === OLD || now.instances.at(-1).instance_id !== known[i].instances.at(-1).instance_id;
      });
      t.diagnostic(`${agent.node} is registered again ${Date.now() - since} ms after Perdure was back`);
    }
  }
  writeFileSync(gate, '');
  for (const { version, asker, shouter, id, runId } of started) {
    const end = await perdure.end(id);
    assert.deepEqual(end.result, { question: version, answer: { text: version } }, JSON.stringify(end));
    const run = await runOf(runId, (executions) => executions.every(({ completed_at }) => completed_at !== null));
    assert.deepEqual(
      run.filter(({ execution_id }) => execution_id === id).map(({ target }) => target),
      [`${asker.node}.ask`],
    );
    const children = run.filter(({ execution_id }) => execution_id !== id);
    for (const child of children) {
      assert.equal(child.parent_execution_id, id, version);
      assert.equal(child.target, `${shouter.node}.shout`);
      assert.equal(child.status, 'succeeded', version);
      assert.deepEqual(child.result, { text: version });
    }
    // The asker's first call is lost with it. Its second attempt makes it anew: the SDK has no key to say it is the same.
    assert.equal(children.length, 2, `${version}: one child of each attempt`);
  }
});

testPairs('a node that Perdure has forgotten registers again', async (t) => {
  const connection = await Connection.connect({ address: temporalAddress() });
  const { workflow } = new Client({ connection });
  await Promise.all(
    agents().map(({ node }) => workflow.getHandle(nodeWorkflowId(node, taskQueue)).terminate('forgotten')),
  );
  await connection.close();
  await Promise.all(
    agents().map((agent) => eventually(`${agent.node} is forgotten`, async () => !(await nodeOf(agent)), 10_000)),
  );
  const since = Date.now();
  await Promise.all(agents().map(registered));
  t.diagnostic(`registered again ${Date.now() - since} ms after they were forgotten`);
  for (const { asker } of pairs) {
    const { execution_id: id } = await submit(`${asker.node}.ask`, { question: 'again' });
    assert.deepEqual((await perdure.end(id)).result, { question: 'again', answer: { text: 'AGAIN' } });
  }
});
