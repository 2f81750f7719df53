import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import { decodeFirst } from '../../common/decode-payload.ts';
import { createMemoryProjection } from '../../memory/memory-projection.ts';
import type { AgentMemoryInput } from '../../workflows/memory-contract.ts';
import { workflowBundle } from '../support/bundle.ts';
import { MEMORY_SHAPES } from './memory-shapes.ts';

const HISTORIES = new URL('./memory-histories/', import.meta.url);

async function load(name: string) {
  return historyFromJSON(JSON.parse(await readFile(new URL(`${name}.json`, HISTORIES), 'utf8')));
}

/** What each comes to: it must not change, readers and workflow have told it. */
const ENDS: Record<string, { rev: number; keys: string[] } | undefined> = {
  written: { rev: 5, keys: ['a', '~'] },
  'carried-on': { rev: 12, keys: ['k0', 'k1', 'k2'] },
  forgotten: undefined,
};

test('there is a stored history of every shape of a memory', async () => {
  const stored = (await readdir(HISTORIES)).map((name) => name.replace('.json', ''));
  for (const { name } of MEMORY_SHAPES) assert.ok(stored.includes(name), `npm run record-histories misses ${name}`);
});

for (const { name } of MEMORY_SHAPES) {
  test(`the stored history of a memory that is ${name} replays on the current code`, async () => {
    await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, await load(name), `memory_${name}`);
  });

  test(`the stored history of a memory that is ${name} comes to what it came to`, async () => {
    const projection = createMemoryProjection({ scope: 'session', scopeId: 'x' }, undefined);
    for (const event of (await load(name)).events ?? []) await projection.fold(event);
    const state = projection.state();
    const end = state && { rev: state.rev, keys: Object.keys(state.document).toSorted() };
    assert.deepEqual(end, ENDS[name]);
  });
}

test('what a run hands on to the next is what its readers know', async () => {
  const projection = createMemoryProjection({ scope: 'actor', scopeId: 'x' }, undefined);
  const { events } = await load('carried-on');
  for (const event of events ?? []) await projection.fold(event);
  const handedOn = events?.at(-1)?.workflowExecutionContinuedAsNewEventAttributes;
  assert.deepEqual((await decodeFirst<AgentMemoryInput>(handedOn?.input, undefined))?.state, projection.state());
  assert.ok(projection.hasNextRun());
});
