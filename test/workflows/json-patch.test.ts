import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import type { Json } from '../../workflows/execution.ts';
import { applyPatch, MAX_DOCUMENT_CHARS, PatchFlaw } from '../../workflows/json-patch.ts';
import type { PatchOperation } from '../../workflows/json-patch.ts';

interface Case {
  comment?: string;
  doc: Json;
  patch: PatchOperation[];
  expected?: Json;
  error?: string;
  disabled?: boolean;
}

const require = createRequire(import.meta.url);
const suite = (name: string) =>
  JSON.parse(readFileSync(require.resolve(`json-patch-test-suite/${name}`), 'utf8')) as Case[];
const patched = (document: Json, patch: PatchOperation[]) =>
  applyPatch({ document, chars: JSON.stringify(document).length }, patch);

/** Operations that are not of the right shape are refused before: the vocabulary of events does that. */
const isWellFormed = ({ patch }: Case) =>
  patch.every((operation) => {
    const { op, path, from, value } = operation as { op: string; path?: unknown; from?: unknown; value?: unknown };
    if (typeof path !== 'string') return false;
    if (op === 'move' || op === 'copy') return typeof from === 'string';
    if (op === 'remove') return true;
    return ['add', 'replace', 'test'].includes(op) && value !== undefined;
  });

for (const name of ['tests.json', 'spec_tests.json']) {
  test(`RFC 6902 as its test suite has it: ${name}`, () => {
    const cases = suite(name).filter((one) => !one.disabled && one.doc !== undefined && isWellFormed(one));
    assert.ok(cases.length > 10);
    for (const { comment, doc, patch, expected, error } of cases) {
      const before = structuredClone(doc);
      const what = comment ?? JSON.stringify(patch);
      if (error === undefined) assert.deepEqual(patched(doc, patch).document, expected ?? doc, what);
      else assert.throws(() => patched(doc, patch), PatchFlaw, what);
      assert.deepEqual(doc, before, `${what}: what was given has changed`);
    }
  });
}

test('a patch is all or nothing, and says which operation does not apply', () => {
  const patch: PatchOperation[] = [
    { op: 'add', path: '/a', value: 1 },
    { op: 'remove', path: '/b' },
  ];
  assert.throws(() => patched({}, patch), { operation: 1, message: 'the path does not exist' });
});

test('no document grows without bound, and no key reaches a prototype', () => {
  let document: Json = { a: 'x'.repeat(1000) };
  assert.throws(() => {
    for (let i = 0; i < 100; i++) ({ document } = patched(document, [{ op: 'copy', from: '', path: `/c${i}` }]));
  }, /longer than/);
  assert.ok(JSON.stringify(document).length <= MAX_DOCUMENT_CHARS);
  document = {};
  let path = '';
  assert.throws(() => {
    for (let i = 0; i < 200; i++) {
      path += '/d';
      ({ document } = patched(document, [{ op: 'add', path, value: {} }]));
    }
  }, /deeper than/);
  assert.throws(() => patched({}, [{ op: 'add', path: '/__proto__', value: { polluted: true } }]), PatchFlaw);
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
});

test('a document that is replaced again and again does not count what is gone', () => {
  const value = 'x'.repeat(MAX_DOCUMENT_CHARS / 4);
  let state = { document: {} as Json, chars: 2 };
  for (let i = 0; i < 20; i++) state = applyPatch(state, [{ op: 'add', path: '/a', value }]);
  assert.deepEqual(state.document, { a: value });
});

test('a patch that makes its readers work hard is refused, one of many small changes is not', () => {
  const big = {
    document: { big: ['x'.repeat(50_000)], small: Array.from({ length: 50_000 }, () => 0) },
    chars: 200_000,
  };
  const pairs = Array.from({ length: 40 }, (): PatchOperation[] => [
    { op: 'copy', from: '/big', path: '/copy' },
    { op: 'remove', path: '/copy' },
  ]);
  assert.throws(() => applyPatch(big, pairs.flat()), /goes through more/);
  const small = Array.from({ length: 200 }, (_, i): PatchOperation => ({
    op: 'replace',
    path: `/small/${i}`,
    value: 1,
  }));
  const after = applyPatch(big, small);
  assert.equal(after.chars, big.chars);
  assert.equal(big.document.small[0], 0, 'readers keep what they have got');
});

test('a value that was copied is changed in one place', () => {
  const { document } = applyPatch({ document: { a: { n: [1] } }, chars: 15 }, [
    { op: 'add', path: '/a/n/-', value: 2 },
    { op: 'copy', from: '/a', path: '/b' },
    { op: 'add', path: '/b/n/-', value: 3 },
    { op: 'remove', path: '/a/n/0' },
  ]);
  assert.deepEqual(document, { a: { n: [2] }, b: { n: [1, 2, 3] } });
});
