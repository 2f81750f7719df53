import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalJson, findJsonFlaw, MAX_JSON_DEPTH } from '../../common/json.ts';
import { retryAfterMs } from '../../common/retry-after.ts';

const flawOf = (text: string, checks = { text: true }) => findJsonFlaw(JSON.parse(text), checks);
const nested = (depth: number, open: string, close: string) => open.repeat(depth) + '1' + close.repeat(depth);

test('a document without a flaw has none', () => {
  for (const text of ['null', '0', '""', '[]', '{}', '{"a":[1,"é😀",{"constructor":{"prototype":null}}]}'])
    assert.equal(flawOf(text), undefined, text);
});

test('nesting is taken up to its limit and no further, in lists and in objects', () => {
  for (const [open, close] of [
    ['[', ']'],
    ['{"a":', '}'],
  ] as const) {
    assert.equal(flawOf(nested(MAX_JSON_DEPTH, open, close)), undefined);
    const flaw = flawOf(nested(MAX_JSON_DEPTH + 1, open, close));
    assert.equal(flaw?.flaw, 'nested too deeply');
    assert.ok((flaw?.path.length ?? 0) <= 200, 'the path is short enough to be shown');
    assert.equal(flawOf(nested(MAX_JSON_DEPTH + 1, open, close), { text: false })?.flaw, 'nested too deeply');
  }
});

test('a nesting that would break recursive code is found without recursion', () => {
  assert.equal(flawOf(nested(200_000, '[', ']'))?.flaw, 'nested too deeply');
});

test('each flaw of a text is named with its path', () => {
  assert.deepEqual(flawOf('{"a":[{"b":"x\\u0000"}]}'), { path: '$.a[0].b', flaw: 'NUL character' });
  assert.deepEqual(flawOf('["ok","\\ud800"]'), { path: '$[1]', flaw: 'lone surrogate' });
  assert.deepEqual(flawOf('"\\udc00\\ud800"'), { path: '$', flaw: 'lone surrogate' });
  assert.deepEqual(flawOf('{"a":{"__proto__":1}}'), { path: '$.a', flaw: 'key "__proto__"' });
  assert.deepEqual(flawOf('{"a":{"k\\u0000":1}}'), { path: '$.a', flaw: 'NUL character' });
  assert.deepEqual(flawOf('{"\\udfff":1}'), { path: '$', flaw: 'lone surrogate' });
});

test('what agents say is not searched for flaws of its texts', () => {
  for (const text of ['"\\u0000"', '"\\ud800"', '{"__proto__":1}'])
    assert.equal(flawOf(text, { text: false }), undefined);
});

test('values that mean the same have the same canonical JSON, others have not', () => {
  const same = (a: string, b: string) => canonicalJson(JSON.parse(a)) === canonicalJson(JSON.parse(b));
  assert.ok(same('{"a":1,"b":{"c":[1,2],"d":null}}', ' { "b": {"d":null, "c":[1,2]}, "a": 1.0 } '));
  assert.ok(same('{"10":1,"9":2,"":3}', '{"":3,"9":2,"10":1}'));
  assert.ok(!same('[1,2]', '[2,1]'));
  assert.ok(!same('{"a":1}', '{"a":"1"}'));
  assert.ok(!same('{"a":{}}', '{"a":[]}'));
  assert.ok(!same('{"a":null}', '{}'));
  assert.ok(!same('{"__proto__":1}', '{"__proto__":2}'), 'the key is kept, not swallowed');
  assert.equal(canonicalJson(['b', { z: 1, a: [{ y: 1, x: 2 }] }]), '["b",{"a":[{"x":2,"y":1}],"z":1}]');
});

test('Retry-After is read as seconds or as a date, and held to its bound', () => {
  assert.equal(retryAfterMs('3', 60_000), 3000);
  assert.equal(retryAfterMs(' 3 ', 60_000), 3000);
  assert.equal(retryAfterMs('999999999', 60_000), 60_000);
  assert.equal(retryAfterMs(['7', '9'], 60_000), 7000);
  const soon = retryAfterMs(new Date(Date.now() + 30_000).toUTCString(), 60_000) ?? 0;
  assert.ok(soon > 28_000 && soon <= 30_000, String(soon));
  assert.equal(retryAfterMs(new Date(Date.now() + 3_600_000).toUTCString(), 60_000), 60_000);
});

test('a Retry-After that asks for no pause is none: Temporal takes a delay of zero for "do not retry"', () => {
  for (const header of ['0', '00', 'Wed, 21 Oct 2015 07:28:00 GMT'])
    assert.equal(retryAfterMs(header, 60_000), undefined, header);
});

test('a delay too long to write down is held to the bound as well', () => {
  assert.equal(retryAfterMs('99999999999999999999', 60_000), 60_000);
});

test('a Retry-After that is absent or unreadable is none', () => {
  for (const header of [undefined, [], '', ' ', 'soon', '-5', '1.5', '3 s', '1e3', '0x10', '5, 7'])
    assert.equal(retryAfterMs(header, 60_000), undefined, JSON.stringify(header));
});
