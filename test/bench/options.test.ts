import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPlan } from '../../bench/options.ts';
import { SUITE_NAMES } from '../../bench/suite.ts';

test('without options it is the cost suite, written to the results; a quick run is only printed', () => {
  const plan = readPlan([]);
  assert.deepEqual(plan?.suites, ['cost']);
  assert.match(plan?.out ?? '', /bench\/RESULTS\.md$/);
  assert.equal(readPlan(['--quick'])?.out, undefined);
  assert.equal(readPlan(['--quick', '--out', 'x.md'])?.out, 'x.md');
});

test('suites run in their own order, and "all" is all of them', () => {
  assert.deepEqual(readPlan(['--suite', 'scale,shapes'])?.suites, ['shapes', 'scale']);
  assert.deepEqual(readPlan(['--suite', 'all'])?.suites, [...SUITE_NAMES]);
});

test('what it does not know is refused, and so is a subject of a peer that is not asked for', () => {
  assert.throws(() => readPlan(['--suite', 'nonsense']), /unknown suite nonsense/);
  assert.throws(() => readPlan(['--only', 'nonsense']), /unknown subject nonsense/);
  assert.throws(() => readPlan(['--only', 'direct,dbosStart']), /dbosStart needs --peers/);
  assert.deepEqual(readPlan(['--only', 'direct,dbosStart', '--peers'])?.subjects, ['direct', 'dbosStart']);
  assert.throws(() => readPlan(['--rounds', '0']), /numbers above 0/);
  assert.throws(() => readPlan(['--seconds', 'few']), /numbers above 0/);
});

test('help is no plan', () => {
  assert.equal(readPlan(['--help']), undefined);
});
