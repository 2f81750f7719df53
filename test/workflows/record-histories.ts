/**
 * Writes a history of every shape to `histories/` and its like: `npm run record-histories`. Only for a new shape, or when
 * a change of the workflows is gated by `patched()`: then under a new name, beside the old one, which must go on replaying.
 */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { after, test } from 'node:test';
import type { TestContext } from 'node:test';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { sharedContext } from '../support/shared.ts';
import type { System } from '../support/system.ts';
import { MEMORY_SHAPES, memorySystem } from './memory-shapes.ts';
import { RUN_SHAPES } from './run-shapes.ts';
import { SHAPES, shapeBench } from './shapes.ts';

const shared = sharedContext();
after(shared.close);

test('histories are recorded', async (t) => {
  const bench = await shapeBench(shared);
  await mkdir(new URL('./run-histories/', import.meta.url), { recursive: true });
  const all = [
    ...SHAPES.map((shape) => ({ ...shape, folder: 'histories' })),
    ...RUN_SHAPES.map((shape) => ({ ...shape, folder: 'run-histories' })),
  ];
  for (const shape of all) {
    const file = new URL(`./${shape.folder}/${shape.name}.json`, import.meta.url);
    if (!existsSync(file)) await record(t, file, bench.system, { workflowId: await shape.run(bench) });
  }
});

test('histories of memories are recorded', async (t) => {
  for (const shape of MEMORY_SHAPES) {
    const file = new URL(`./memory-histories/${shape.name}.json`, import.meta.url);
    if (existsSync(file)) continue;
    const system = await memorySystem(shared, shape);
    await record(t, file, system, await shape.run(system));
  }
});

async function record(
  t: TestContext,
  file: URL,
  { client }: System,
  { workflowId, runId }: { workflowId: string; runId?: string | undefined },
): Promise<void> {
  const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
  // Who recorded it, and where, is nobody's business.
  const anonymous = historyToJSON(history)
    .replaceAll(/"\d+@[^"]+"/g, '"recorder"')
    .replaceAll(/("stackTrace": *)"(?:[^"\\]|\\.)*"/g, '$1""');
  await writeFile(file, `${anonymous}\n`);
  t.diagnostic(`${basename(file.pathname)}: ${history.events?.length} events`);
}
