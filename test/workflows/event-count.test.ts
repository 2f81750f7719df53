import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sharedContext } from '../support/shared.ts';
import { SHAPES, shapeBench } from './shapes.ts';
import type { ShapeBench } from './shapes.ts';

const shared = sharedContext();
let bench: ShapeBench;
before(async () => {
  bench = await shapeBench(shared);
});
after(shared.close);

for (const shape of SHAPES.filter(({ events }) => events !== undefined)) {
  test(`${shape.name} costs ${shape.events} history events`, async () => {
    const id = await shape.run(bench);
    const { events } = await bench.system.client.workflow.getHandle(id).fetchHistory();
    assert.equal(events?.length, shape.events);
  });
}
