import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import { createProjection } from '../../api/projection.ts';
import { isOver } from '../../workflows/state.ts';
import { workflowBundle } from '../support/bundle.ts';
import { RUN_SHAPES } from './run-shapes.ts';
import { SHAPES } from './shapes.ts';

const HISTORIES = new URL('./histories/', import.meta.url);
/** Of workflows that are no executions. */
const RUN_HISTORIES = new URL('./run-histories/', import.meta.url);

async function load(name: string, folder = HISTORIES) {
  return historyFromJSON(JSON.parse(await readFile(new URL(name, folder), 'utf8')));
}

test('there is a stored history of every workflow that is about a run', async () => {
  const stored = (await readdir(RUN_HISTORIES)).map((name) => name.replace('.json', ''));
  for (const { name } of RUN_SHAPES) assert.ok(stored.includes(name), `npm run record-histories misses ${name}`);
});

for (const name of await readdir(RUN_HISTORIES)) {
  test(`the stored history ${name} of a run replays on the current code`, async () => {
    const history = await load(name, RUN_HISTORIES);
    await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, history, name);
  });
}

test('there is a stored history of every shape', async () => {
  const stored = (await readdir(HISTORIES)).map((name) => name.replace('.json', ''));
  for (const { name } of SHAPES) assert.ok(stored.includes(name), `npm run record-histories misses ${name}`);
});

for (const name of await readdir(HISTORIES)) {
  test(`the stored history ${name} replays on the current code`, async () => {
    const id = `exec_${name}`;
    await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, await load(name), id);
  });

  test(`the stored history ${name} projects onto an execution that is over`, async () => {
    const projection = createProjection('exec_x', undefined);
    for (const event of (await load(name)).events ?? []) await projection.fold(event);
    const state = projection.state();
    assert.ok(state && isOver(state) && projection.isClosed());
    assert.equal(state.outcome?.status, state.status);
  });
}
