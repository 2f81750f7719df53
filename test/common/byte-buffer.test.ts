import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createByteBuffer } from '../../common/byte-buffer.ts';

test('pieces of any size become one, up to the limit', () => {
  const whole = Buffer.from(Array.from({ length: 20_000 }, (_, i) => i % 251));
  for (const size of [1, 7, 4096, 20_000]) {
    const buffer = createByteBuffer(20_000);
    for (let at = 0; at < whole.length; at += size) assert.ok(buffer.add(whole.subarray(at, at + size)));
    assert.deepEqual(buffer.bytes(), whole);
    assert.ok(!buffer.add(Buffer.of(1)), 'it is full');
    assert.deepEqual(buffer.bytes(), whole);
  }
});

test('of a piece that does not fit the start is kept', () => {
  const buffer = createByteBuffer(5);
  assert.ok(buffer.add(Buffer.from('abc')));
  assert.ok(!buffer.add(Buffer.from('defg')));
  assert.equal(buffer.bytes().toString(), 'abcde');
  assert.equal(createByteBuffer(0).bytes().length, 0);
});
