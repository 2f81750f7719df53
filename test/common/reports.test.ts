import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_EVENT_BYTES, MAX_STEP_DATA_BYTES, readReport } from '../../common/reports.ts';
import type { JsonObject } from '../../workflows/execution.ts';

const read = (name: string, fields: JsonObject) => readReport(name, { type: name, ...fields });

test('what is of the vocabulary is taken as it is, fields that are not ours are left out', () => {
  const cases: [string, JsonObject][] = [
    ['step', { kind: 'tool_call', name: 'search', summary: 'for crash', data: { q: ['a', 1, null] } }],
    ['note', { text: 'careful', tags: ['a'] }],
    ['artifact', { name: 'report.md', media_type: 'text/markdown', content: '# Report' }],
    ['artifact', { name: 'film', media_type: 'video/mp4', url: 'https://files.example/film' }],
    ['checkpoint', { data: { page: 3 } }],
    ['usage', { input_tokens: 10, output_tokens: 3, cost_usd: 0.01, model: 'm' }],
  ];
  for (const [name, data] of cases) {
    assert.deepEqual(read(name, { ...data, not_ours: 1 }), { report: { type: 'other', name, data } }, name);
  }
});

test('an event of a name of its own is kept whole', () => {
  assert.deepEqual(read('weather', { rain: true }), {
    report: { type: 'other', name: 'weather', data: { rain: true } },
  });
});

test('what is not what it says it is becomes other, with the path of the flaw', () => {
  const cases: [string, JsonObject, string][] = [
    ['step', { kind: 'dance' }, '.kind'],
    ['step', { kind: 'thought', data: 'x'.repeat(MAX_STEP_DATA_BYTES) }, '.data'],
    ['note', { text: 5 }, '.text'],
    ['note', {}, '.text'],
    ['artifact', { name: 'a', media_type: 'text/plain' }, ''],
    ['artifact', { name: 'a', media_type: 'text/plain', content: 1, url: 'https://x.example/' }, ''],
    ['artifact', { name: 'a', media_type: 'text/plain', url: 'file:///etc/passwd' }, '.url'],
    ['usage', { input_tokens: -1 }, '.input_tokens'],
    ['checkpoint', {}, '.data'],
    ['constructor', { deep: nested(200) }, ''],
    ['own', { text: 'x'.repeat(MAX_EVENT_BYTES) }, ''],
  ];
  for (const [name, fields, path] of cases) {
    const { report, flaw } = read(name, fields);
    assert.ok(report.type === 'other' && report.name === 'other', name);
    assert.equal(report.data['name'], name);
    assert.ok(flaw, name);
    if (path !== '') assert.equal(flaw.path, path, name);
  }
});

test('a progress whose fields make no sense is one all the same', () => {
  assert.deepEqual(read('progress', { progress_pct: 200, current_action: 'reading' }).report, {
    type: 'progress',
    currentAction: 'reading',
  });
});

function nested(depth: number): JsonObject {
  let value: JsonObject = {};
  for (let i = 0; i < depth; i++) value = { value };
  return value;
}
