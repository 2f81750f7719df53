/**
 * Writes a history of every shape to `histories/` and `run-histories/`: `npm run record-histories`. Only for a new shape, or when a change
 * of the workflows is gated by `patched()`: then under a new name, beside the old one, which must go on replaying.
 */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { sharedContext } from '../support/shared.ts';
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
    if (existsSync(file)) continue;
    const id = await shape.run(bench);
    const history = await bench.system.client.workflow.getHandle(id).fetchHistory();
    // Who recorded it, and where, is nobody's business.
    const anonymous = historyToJSON(history)
      .replaceAll(/"\d+@[^"]+"/g, '"recorder"')
      .replaceAll(/("stackTrace": *)"(?:[^"\\]|\\.)*"/g, '$1""');
    await writeFile(file, `${anonymous}\n`);
    t.diagnostic(`${shape.name}: ${history.events?.length} events`);
  }
});
