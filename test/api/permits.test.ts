import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { acceptingAgent, isCallOf } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer, sendJson } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const shared = sharedContext();
let slow: AcceptingAgent;
let system: System;
before(async () => {
  slow = await acceptingAgent(shared);
  const quick = await httpServer(shared, (_request, response) => sendJson(response, 200, 'quick'));
  system = await startSystem(shared, {
    agentNodes: {
      three: { url: slow.url, max_concurrent: 3 },
      mixed: { url: slow.url, max_concurrent_of: { one: 1 } },
      quick: quick.url,
    },
  });
});
after(shared.close);

async function start(target: string, more: object = {}): Promise<string> {
  const { status, body } = await system.post(`/api/v1/execute/async/${target}`, { input: {}, ...more });
  assert.equal(status, 202, JSON.stringify(body));
  return body.execution_id as string;
}

const view = async (id: string) => (await system.get(`/api/v1/executions/${id}`)).body;
const finish = (id: string) => slow.report(id, { status: 'succeeded', result: id });
const called = () => slow.received.map(({ headers }) => headers['x-execution-id'] as string);

async function untilCalled(...ids: string[]): Promise<void> {
  for (const id of ids) await slow.waitFor(1, isCallOf(id));
}

async function untilQueued(id: string, position: number): Promise<void> {
  for (;;) {
    const { waiting_on: on } = await view(id);
    if (on?.kind === 'permit' && on.queue_position === position) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('an agent that takes three at a time gets three, those that came first, until they have called back', async () => {
  const ids: string[] = [];
  for (let i = 0; i < 12; i++) {
    ids.push(await start('three.work'));
    // Submitted one after the other, and asked for in that order.
    if (i >= 3) await untilQueued(ids[i] ?? '', i - 2);
    else await untilCalled(ids[i] ?? '');
  }
  assert.equal((await view(ids[5] ?? '')).status, 'queued');
  // Another agent does not wait for this one.
  assert.equal((await system.end(await start('quick.work'))).result, 'quick');
  for (let done = 0; done < 12; done++) {
    const mine = called().filter((id) => ids.includes(id));
    assert.ok(mine.length - done <= 3, `${mine.length} were called, ${done} are done`);
    assert.deepEqual(mine, ids.slice(0, mine.length));
    await untilCalled(ids[done] ?? '');
    await finish(ids[done] ?? '');
    assert.equal((await system.end(ids[done] ?? '')).status, 'succeeded');
  }
});

test('who is in a hurry goes first, and who is cancelled leaves the queue', async () => {
  const held = await Promise.all([1, 2, 3].map(() => start('three.work')));
  await untilCalled(...held);
  const late = await start('three.work', { priority: 5 });
  await untilQueued(late, 1);
  const cancelled = await start('three.work');
  await untilQueued(cancelled, 1);
  const urgent = await start('three.work', { priority: 1 });
  await untilQueued(urgent, 1);
  await untilQueued(late, 3);
  await system.post(`/api/v1/executions/${cancelled}/cancel`);
  assert.equal((await system.end(cancelled)).status, 'cancelled');
  await finish(held[0] ?? '');
  await untilCalled(urgent);
  await finish(urgent);
  await untilCalled(late);
  assert.equal(called().includes(cancelled), false);
  await Promise.all([...held.slice(1), late].map(finish));
  await Promise.all([...held, late].map(system.end));
});

test('a limit of one reasoner does not hold the others, and one that waits for a person has given its place back', async () => {
  const holder = await start('mixed.one');
  await untilCalled(holder);
  const waiting = await start('mixed.one');
  const other = await start('mixed.two');
  await untilCalled(other);
  await untilQueued(waiting, 1);
  await slow.report(holder, { status: 'waiting', waiting: { kind: 'question', text: 'Go on?' } });
  await untilCalled(waiting);
  await system.post(`/api/v1/executions/${holder}/resume`, { data: 'yes' });
  await untilQueued(holder, 1);
  await finish(waiting);
  const [, again] = await slow.waitFor(2, isCallOf(holder));
  await fetch(String(again?.headers['perdure-callback-url']), { method: 'POST', body: '{"status":"succeeded"}' });
  assert.equal((await system.end(holder)).status, 'succeeded');
  await finish(other);
});
