import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchesGlob } from '../../memory/glob.ts';
import { memoryOfWorkflowId, memoryWorkflowId, MEMORY_SCOPES } from '../../workflows/memory-contract.ts';
import { emptyMemory, foldWrite, MAX_MEMORY_BYTES, MAX_VALUE_BYTES } from '../../workflows/memory-state.ts';
import { utf8Bytes } from '../../workflows/json-size.ts';

const NAME = { scope: 'session', scopeId: 's' } as const;
/** Temporal's limit of an input. */
const MAX_INPUT_BYTES = 2 * 1024 * 1024;

let writes = 0;
const write = (key: string, data: unknown, action: 'set' | 'delete' = 'set') => ({
  id: `mem_${++writes}`,
  at: new Date(writes).toISOString(),
  action,
  key,
  ...(action === 'set' && { data: data as string }),
});

const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));

test('the bytes of a text are those of its UTF-8', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => utf8Bytes(text) === Buffer.byteLength(text)));
});

test('whatever is written, the size is that of the document, and history and document agree', () => {
  const key = fc.oneof(fc.constantFrom('a', '/', '~', 'constructor', '😀'), fc.string({ minLength: 1, maxLength: 20 }));
  const oneWrite = fc.record({ key, data: fc.jsonValue({ maxDepth: 3 }), isDelete: fc.boolean() });
  fc.assert(
    fc.property(fc.array(oneWrite, { maxLength: 60 }), (all) => {
      const state = emptyMemory(NAME);
      const model = new Map<string, unknown>();
      for (const { key: name, data, isDelete } of all.filter((one) => one.key !== '__proto__')) {
        const before = state.document;
        const copy = structuredClone(before);
        const { kind } = foldWrite(state, write(name, data, isDelete ? 'delete' : 'set'));
        assert.deepEqual(before, copy, 'readers keep what they have got');
        assert.equal(kind, isDelete && !model.has(name) ? 'unchanged' : 'changed');
        if (isDelete) model.delete(name);
        else model.set(name, data);
      }
      assert.deepEqual(new Map(Object.entries(state.document).map(([name, entry]) => [name, entry.data])), model);
      // Braces, and the comma that the last entry lacks.
      assert.equal(state.bytes, model.size === 0 ? 0 : bytesOf(state.document) - 1);
    }),
  );
});

test('as large as it may get, a memory fits into the input of its next run', () => {
  const state = emptyMemory(NAME);
  const fill = (data: string, keys: number) => {
    for (let i = 0; i < keys; i++) foldWrite(state, write(`k${i}`, data));
  };
  for (const data of ['x'.repeat(MAX_VALUE_BYTES - 2), '€'.repeat(MAX_VALUE_BYTES / 3 - 1), '"'.repeat(100_000), 'x']) {
    for (const keys of [3, 4, 5, 1_000, 30_000]) {
      if (data.length > 1 && keys > 10) continue;
      fill(data, keys);
      assert.ok(bytesOf(state.document) <= MAX_MEMORY_BYTES + 1);
      assert.ok(bytesOf({ ...NAME, state }) < MAX_INPUT_BYTES - 64 * 1024, `${bytesOf(state)}`);
    }
    for (const key of Object.keys(state.document)) foldWrite(state, write(key, null, 'delete'));
  }
  assert.equal(state.bytes, 0);
});

test('time does not go back within a memory', () => {
  const state = emptyMemory(NAME);
  foldWrite(state, { ...write('a', 1), at: '2026-01-01T00:00:01.000Z' });
  foldWrite(state, { ...write('a', 2), at: '2026-01-01T00:00:00.000Z' });
  assert.deepEqual(
    state.changes.map(({ at }) => at),
    ['2026-01-01T00:00:01.000Z', '2026-01-01T00:00:01.000Z'],
  );
});

test('no two memories have one workflow, and its id tells which memory it is', () => {
  const name = fc.record({
    scope: fc.constantFrom(...MEMORY_SCOPES),
    scopeId: fc.stringMatching(/^[\x21-\x7e]{1,200}$/),
  });
  const queue = fc.constantFrom('perdure', 'other', 'a@b');
  fc.assert(
    fc.property(name, queue, (one, taskQueue) => {
      const id = memoryWorkflowId(one, taskQueue);
      assert.deepEqual(memoryOfWorkflowId(id), { ...one });
      assert.ok(id.endsWith(taskQueue === 'perdure' ? encodeURIComponent(one.scopeId) : `@${taskQueue}`));
    }),
  );
  assert.equal(memoryOfWorkflowId('exec_1'), undefined);
  assert.equal(memoryOfWorkflowId('memory_other_1'), undefined);
});

test('a glob matches as the regular expression does that it stands for', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*', '?'), maxLength: 12 });
  fc.assert(
    fc.property(text, text, (pattern, key) => {
      const regex = pattern.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.');
      assert.equal(matchesGlob(pattern, key), new RegExp(`^${regex}$`, 's').test(key), `${pattern} on ${key}`);
    }),
    { numRuns: 3_000 },
  );
  const startedAt = performance.now();
  assert.equal(matchesGlob(`${'*a'.repeat(250)}b`, 'a'.repeat(512)), false);
  assert.ok(performance.now() - startedAt < 100);
});
