/** What an agent can do by the helper libraries, in both languages. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { TestContext } from 'node:test';
import { nodeWorkflowId } from '../../workflows/node-contract.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';
import { eventually, instanceOf, LANGUAGES, outsideWorld } from './support.ts';

const shared = sharedContext();
let system: System;
before(async () => {
  system = await startSystem(shared, { agentNodes: {}, policy: { cancelGraceMs: 3_600_000 } });
});
after(shared.close);

for (const language of LANGUAGES) {
  async function start(t: TestContext, name: string) {
    const node = `${name}-${language}`;
    const outside = await outsideWorld(t);
    const instance = await instanceOf(t, { node, language, heartbeatMs: 500 }, system);
    await instance.start();
    const submit = async (reasoner: string, more: object = {}): Promise<Body> => {
      const input = { outside: outside.url, ...more };
      const { status, body, text } = await system.post(`/api/v1/execute/async/${node}.${reasoner}`, { input });
      assert.equal(status, 202, text);
      return body;
    };
    return { node, outside, instance, submit };
  }

  test(`a child is started once, however often its parent is begun (${language})`, async (t) => {
    const { node, outside, instance, submit } = await start(t, 'family');
    outside.hold(({ name }) => name === 'called');
    const { execution_id: id, run_id: runId } = await submit('parent', { target: `${node}.child` });
    await outside.until(({ name }) => name === 'called');
    const { body: view } = await system.get(`/api/v1/executions/${id}`);
    assert.equal(view.current_action, 'calling');
    await instance.kill();
    outside.release();
    await instance.start();
    const end = await system.end(id);
    assert.equal(end.status, 'succeeded', JSON.stringify(end));
    assert.deepEqual(
      outside.told.filter(({ name }) => name === 'called').map(({ attempt }) => attempt),
      [1, 2],
    );
    let run: Body[] = [];
    await eventually('the whole run is listed', async () => {
      run = (await system.get(`/api/v1/executions?run_id=${runId}`)).body.executions;
      return run.length >= 3;
    });
    assert.deepEqual(
      run.filter((one) => one.execution_id !== id).map((one) => [one.parent_execution_id, one.status]),
      Array(2).fill([id, 'succeeded']),
    );
    assert.equal([...outside.effects.keys()].filter((name) => name.startsWith('child ')).length, 2);
    const { notes } = (await system.get(`/api/v1/executions/${id}/notes?tags=family`)).body;
    assert.equal(notes.length, 2, 'one of each attempt');
  });

  test(`messages are heard, also while it is paused, and it says what became of them (${language})`, async (t) => {
    const { outside, submit } = await start(t, 'listener');
    const { execution_id: id } = await submit('listener');
    const path = `/api/v1/executions/${id}`;
    await outside.until(({ name }) => name === 'listening');
    await system.post(`${path}/messages`, { id: 'm1', text: 'one' });
    await system.post(`${path}/messages`, { id: 'm2', data: 2 });
    const statuses = async () => {
      const { messages } = (await system.get(`${path}/messages`)).body;
      return messages.map((message: Body) => `${message.id} ${message.status}`);
    };
    await eventually(
      'the messages are dealt with',
      async () => !/open|delivered|pending/.test(String(await statuses())),
    );
    await system.post(`${path}/pause`);
    await system.post(`${path}/messages`, { id: 'm3', text: 'end' });
    await eventually('it listens while it is paused', async () => String(await statuses()).endsWith('m3 applied'));
    await system.post(`${path}/resume`);
    const end = await system.end(id);
    assert.deepEqual(end.result, ['one', 'end']);
    assert.deepEqual(await statuses(), ['m1 applied', 'm2 rejected', 'm3 applied']);
  });

  test(`a cancel ends it in its grace (${language})`, async (t) => {
    const { outside, submit } = await start(t, 'cancelled');
    const { execution_id: id } = await submit('listener');
    await outside.until(({ name }) => name === 'listening');
    assert.equal((await system.post(`/api/v1/executions/${id}/cancel`, {})).status, 202);
    assert.equal((await system.end(id)).status, 'cancelled');
  });

  test(`a stop in order finishes what is in hand (${language})`, async (t) => {
    const { node, outside, instance, submit } = await start(t, 'stopped');
    outside.hold(() => true);
    const { execution_id: id } = await submit('stubborn');
    await outside.until(({ name }) => name === 'waiting');
    const stopped = instance.stop();
    const status = async () => (await system.get(`/api/v1/nodes/${node}`)).body.instances[0].status;
    await eventually('it takes no further calls', async () => (await status()) === 'draining');
    outside.release();
    assert.equal(await stopped, 0);
    const end = await system.end(id);
    assert.deepEqual(end.result, { aborted: false });
    await eventually('it is known to be gone', async () => (await status()) === 'lost');
  });

  test(`a node that is forgotten registers again (${language})`, async (t) => {
    const { node, submit } = await start(t, 'forgotten');
    await system.client.workflow.getHandle(nodeWorkflowId(node, system.taskQueue)).terminate();
    const health = async () => (await system.get(`/api/v1/nodes/${node}`)).body?.health_status;
    await eventually('it is forgotten', async () => (await health()) !== 'active');
    await eventually('it is there again', async () => (await health()) === 'active');
    assert.equal((await system.end((await submit('child')).execution_id)).status, 'succeeded');
  });

  test(`where another value of a step is stored, it goes on with that (${language})`, async (t) => {
    const { outside, submit } = await start(t, 'outrun');
    outside.hold(({ name }) => name.endsWith('/step-2'));
    const { execution_id: id } = await submit('ten_steps');
    await outside.until(({ name }) => name === `${id}/step-2`);
    const url = `${system.url}/api/v1/executions/${id}/steps/step-2`;
    assert.equal((await fetch(url, { method: 'PUT', body: '{"value":"of another"}' })).status, 201);
    outside.release();
    const { values } = (await system.end(id)).result;
    assert.equal(values[1], 'of another');
  });
}
