import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { defaultPayloadConverter } from '@temporalio/common';
import { connectTemporal } from '../../common/connect-temporal.ts';
import { createMemoryFeed } from '../../memory/feed.ts';
import { createMemories } from '../../memory/memories.ts';
import type { Memories } from '../../memory/memories.ts';
import { createMemoryProjection } from '../../memory/memory-projection.ts';
import { writeSignal } from '../../workflows/memory-contract.ts';
import type { MemoryName } from '../../workflows/memory-contract.ts';
import { sharedContext } from '../support/shared.ts';
import { temporalAddress } from '../support/system.ts';

const shared = sharedContext();
/** As two processes have them, of one deployment without a worker. */
let here: Memories;
let there: Memories;
before(() => {
  const { client, following, close } = connectTemporal({
    namespace: 'default',
    connectionOptions: { address: temporalAddress() },
  });
  const deps = { client, connection: following, namespace: 'default', taskQueue: `test-${randomUUID()}` };
  [here, there] = [createMemories(deps), createMemories(deps)];
  shared.after(async () => {
    here.close();
    there.close();
    await close();
  });
});
after(shared.close);

const fresh = (): MemoryName => ({ scope: 'session', scopeId: randomUUID() });

const set = (memories: Memories, name: MemoryName, data: number) =>
  memories.write(name, { id: randomUUID(), at: new Date().toISOString(), action: 'set', key: 'k', data });

test('of more memories than are followed those that changed last are; one that is used again loses nothing', async (t) => {
  const feed = createMemoryFeed(here, { lookMs: 200, maxFollowed: 2 });
  const told: unknown[] = [];
  let wake = () => {};
  const stop = await feed.subscribe((_, { data }) => {
    told.push(data);
    wake();
  });
  t.after(stop);
  const until = async (data: number) => {
    while (!told.includes(data)) await new Promise<void>((resolve) => (wake = resolve));
  };
  const [a, b, c] = [fresh(), fresh(), fresh()];
  for (const [i, name] of [a, b, c].entries()) await set(here, name, i + 1);
  await until(3);
  // Nobody here has to do with it any more, which the other process does not know.
  await set(there, a, 4);
  await set(there, c, 5);
  await until(5);
  assert.deepEqual(told, [1, 2, 3, 5]);
  await set(here, a, 6);
  await until(6);
  assert.deepEqual(told, [1, 2, 3, 5, 4, 6], 'what was kept of the time in between comes first');
  await set(here, b, 7);
  await until(7);
  assert.deepEqual(told, [1, 2, 3, 5, 4, 6, 7]);
});

test('a memory that only another process knows is found', async (t) => {
  const feed = createMemoryFeed(here, { lookMs: 200 });
  const name = fresh();
  const found = new Promise<unknown>((resolve, reject) => {
    feed
      .subscribe(({ scopeId }, { data }) => {
        if (scopeId === name.scopeId) resolve(data);
      })
      .then((stop) => {
        t.after(stop);
        return set(there, name, 1);
      })
      .catch(reject);
  });
  assert.equal(await found, 1);
});

test('a run that no worker has let go on takes no more in time', async () => {
  const payloads = (value: unknown) => ({ payloads: [defaultPayloadConverter.toPayload(value)] });
  const projection = createMemoryProjection(fresh(), undefined);
  await projection.fold({ workflowExecutionStartedEventAttributes: { input: payloads({}) } });
  for (let i = 0; i < 9_000; i++) {
    assert.equal(projection.isFull(), false);
    const write = { id: `${i}`, at: '2026-01-01T00:00:00.000Z', action: 'set', key: 'k', data: i };
    await projection.fold({
      workflowExecutionSignaledEventAttributes: { signalName: writeSignal.name, input: payloads(write) },
    });
  }
  assert.equal(projection.isFull(), true);
});
