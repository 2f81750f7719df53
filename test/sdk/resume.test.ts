/** A process is killed at each of ten points of its work: another one goes on, and every effect is had exactly once. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startProcesses } from '../support/processes.ts';
import type { Processes } from '../support/processes.ts';
import { sharedContext } from '../support/shared.ts';
import { temporalAddress } from '../support/system.ts';
import { eventually, instanceOf, LANGUAGES, outsideWorld } from './support.ts';
import type { Instance, Language } from './support.ts';

/** The shortest one whose lease is two of it. */
const HEARTBEAT_MS = 1_500;
const shared = sharedContext();
let perdure: Processes;
before(async () => {
  perdure = await startProcesses(shared, { address: temporalAddress(), agentNodes: {} });
});
after(shared.close);

/** Starts the work on the node, and kills who does it within step n: at odd ones before, at even ones after it is stored. */
async function killAt(
  n: number,
  node: string,
  instances: Instance[],
  outside: Awaited<ReturnType<typeof outsideWorld>>,
) {
  const { status, body, text } = await perdure.post(`/api/v1/execute/async/${node}.ten_steps`, {
    input: { outside: outside.url },
  });
  assert.equal(status, 202, text);
  const id = body.execution_id as string;
  const isStored = n % 2 === 0;
  // Before the killing no step after this one is to be had.
  outside.hold(({ name }) => name === `${id}/step-${isStored ? n + 1 : n}`);
  const { pid } = await outside.until(({ name }) => name === `${id}/step-${n}`);
  if (isStored) {
    await eventually(`step ${n} is stored`, async () => {
      const { status: found } = await perdure.get(`/api/v1/executions/${id}/steps/step-${n}`);
      return found === 200;
    });
  }
  const victim = instances.find((one) => one.pid() === pid);
  assert.ok(victim);
  const killedAt = Date.now();
  await victim.kill();
  outside.release();
  return { id, victim, pid, killedAt };
}

/** Each step was had once, whoever did it, and the result is that of one who did it all. */
async function assertEnded(id: string, outside: Awaited<ReturnType<typeof outsideWorld>>) {
  const end = await perdure.end(id);
  assert.equal(end.status, 'succeeded', JSON.stringify(end));
  const effects = [...outside.effects.keys()].filter((name) => name.startsWith(`${id}/`));
  assert.deepEqual(
    effects,
    Array.from({ length: 10 }, (_, i) => `${id}/step-${i + 1}`),
  );
  const { body } = await perdure.get(`/api/v1/executions/${id}/steps`);
  assert.equal(body.steps.length, 10);
  const requests = outside.told.filter(({ name }) => name.startsWith(`${id}/`)).length;
  return { end, requests };
}

for (const language of LANGUAGES) {
  test(`the other process goes on where the killed one was (${language})`, async (t) => {
    const outside = await outsideWorld(t);
    const node = `pair-${language}`;
    const pair = await startPair(t, node, [language, language]);
    const resumedMs: number[] = [];
    for (let n = 1; n <= 10; n++) {
      const { id, victim, pid, killedAt } = await killAt(n, node, pair, outside);
      const again = await outside.until(({ name, pid: by, at }) => name === 'began' && by !== pid && at >= killedAt);
      resumedMs.push(again.at - killedAt);
      assert.equal(again.attempt, 2);
      const done = again.from ?? 0;
      assert.ok(done === n - 1 || (n % 2 === 0 && done === n), `killed in step ${n}, it goes on after ${done}`);
      const { requests } = await assertEnded(id, outside);
      assert.ok(requests <= 11, `${requests} requests for 10 effects`);
      await victim.start();
    }
    const bound = 2 * HEARTBEAT_MS + 1000;
    t.diagnostic(`${language}: resumed after ${resumedMs.join(', ')} ms; 2 heartbeats and 1 s are ${bound} ms`);
  });
}

test('a process of the other language goes on', async (t) => {
  const outside = await outsideWorld(t);
  const pair = await startPair(t, 'mixed', LANGUAGES);
  for (const n of [3, 6]) {
    const { id, victim, pid } = await killAt(n, 'mixed', pair, outside);
    await assertEnded(id, outside);
    const pids = outside.told.filter(({ name }) => name.startsWith(`${id}/`)).map((one) => one.pid);
    assert.deepEqual(
      new Set(pids),
      new Set([pid, ...pair.map((one) => one.pid()).filter((one) => one !== victim.pid())]),
    );
    await victim.start();
  }
});

for (const language of LANGUAGES) {
  test(`without another process it goes on when it is back (${language})`, async (t) => {
    const outside = await outsideWorld(t);
    const node = `single-${language}`;
    const [one] = (await startPair(t, node, [language])) as [Instance];
    const { id } = await killAt(5, node, [one], outside);
    await one.start();
    const { end } = await assertEnded(id, outside);
    assert.equal(end.result.from, 4);
  });
}

for (const language of LANGUAGES) {
  test(`while Perdure is away it keeps what it has to say (${language})`, async (t) => {
    const outside = await outsideWorld(t);
    const node = `patient-${language}`;
    await startPair(t, node, [language]);
    const { body } = await perdure.post(`/api/v1/execute/async/${node}.ten_steps`, { input: { outside: outside.url } });
    const id = body.execution_id as string;
    outside.hold(({ name }) => name === `${id}/step-4`);
    await outside.until(({ name }) => name === `${id}/step-4`);
    await Promise.all([perdure.api.kill(), perdure.worker.kill()]);
    outside.release();
    await Promise.all([perdure.api.start(), perdure.worker.start()]);
    const { end, requests } = await assertEnded(id, outside);
    assert.equal(end.result.from, 0);
    assert.equal(requests, 10);
  });
}

async function startPair(t: Parameters<typeof instanceOf>[0], node: string, languages: readonly Language[]) {
  const create = (language: Language) => instanceOf(t, { node, language, heartbeatMs: HEARTBEAT_MS }, perdure);
  const pair = await Promise.all(languages.map(create));
  await Promise.all(pair.map((one) => one.start()));
  return pair;
}
