import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSections, writeSections } from '../../bench/results.ts';

test('a section that is measured again replaces its own and leaves the others', () => {
  const file = writeSections({ shapes: '## Shapes\n\nold', cost: '## Cost\n\nkept' });
  const again = writeSections({ ...readSections(file), shapes: '## Shapes\n\nnew' });
  assert.deepEqual(readSections(again), { cost: '## Cost\n\nkept', shapes: '## Shapes\n\nnew' });
  assert.equal(again.match(/^# /gm)?.length, 1);
});

test('sections stand in the order of the suites, whatever the order they were made in', () => {
  const file = writeSections({ scale: 'last', cost: 'first' });
  assert.ok(file.indexOf('first') < file.indexOf('last'));
});

test('a results file from before there were suites is all cost', () => {
  assert.deepEqual(readSections('# Benchmark results\n\n- Date: then\n\n## Executions\n'), {
    cost: '- Date: then\n\n## Executions',
  });
  assert.deepEqual(readSections(''), {});
});

test('a section that is no suite is kept, behind the suites', () => {
  const file = writeSections({ 'chaos-7': 'kept', cost: 'first' });
  assert.deepEqual(Object.keys(readSections(file)), ['cost', 'chaos-7']);
  assert.deepEqual(readSections(writeSections({ ...readSections(file), scale: 'new' })), {
    cost: 'first',
    scale: 'new',
    'chaos-7': 'kept',
  });
});

test('writing what was read changes nothing', () => {
  const file = writeSections({ cost: 'a\n\n| b |', recover: 'c' });
  assert.equal(writeSections(readSections(file)), file);
});
