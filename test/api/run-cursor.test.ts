import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newExecutionId } from '../../api/ids.ts';
import { createRunPosition, parseRunCursor, sentOf } from '../../api/run-cursor.ts';

function cursorOf(sent: [string, number][]): string {
  const position = createRunPosition(new Map());
  for (const [id, sequence] of sent) position.advance(id, sequence);
  return position.cursor();
}

function readBack(cursor: string, executionIds: string[]): Map<string, number> | undefined {
  const parsed = parseRunCursor(cursor);
  return parsed && sentOf(parsed, executionIds);
}

const idOf = (start: string) => `exec_${start.padEnd(32, '0')}`;

test('a cursor says how far each execution was sent, however it was come to', () => {
  const [a, b, c] = [idOf('aa'), idOf('bb'), idOf('cc')];
  const cursor = cursorOf([
    [b, 1],
    [a, 1],
    [b, 17],
  ]);
  assert.equal(cursor, 'aa000000.1.bb000000.17');
  const sent = readBack(cursor, [c, b, a]);
  assert.deepEqual(
    sent,
    new Map([
      [a, 1],
      [b, 17],
    ]),
  );
  const position = createRunPosition(sent ?? new Map());
  assert.equal(position.cursor(), cursor, 'who goes on begins with the same one');
  position.advance(c, 3);
  assert.equal(position.cursor(), 'aa000000.1.bb000000.17.cc000000.3');
  assert.equal(createRunPosition(new Map()).cursor(), '0');
  assert.deepEqual(readBack('0', [a]), new Map());
});

test('ids that begin alike are told apart by as much as it takes', () => {
  const [one, two, three] = [idOf('1234567890a1'), idOf('1234567890a2'), idOf('1234567899')];
  const cursor = cursorOf([
    [one, 1],
    [two, 2],
    [three, 3],
  ]);
  assert.equal(cursor, '1234567890a1.1.1234567890a2.2.1234567899.3');
  assert.deepEqual(
    readBack(cursor, [three, two, one]),
    new Map([
      [one, 1],
      [two, 2],
      [three, 3],
    ]),
  );
});

test('one that joins later and begins alike is not taken for the one that was meant', () => {
  const [known, later] = [idOf('12345678b'), idOf('12345678a')];
  const before = cursorOf([[known, 5]]);
  const inOrderOfStart = [known, later];
  const sent = readBack(before, inOrderOfStart);
  assert.deepEqual(sent, new Map([[known, 5]]));
  const position = createRunPosition(sent ?? new Map());
  position.advance(later, 1);
  assert.equal(position.cursor(), '12345678a.1.12345678b.5');
});

test('the cursor of the largest run is shorter than 8 KiB', () => {
  const ids = Array.from({ length: 200 }, newExecutionId);
  const sent = ids.map((id): [string, number] => [id, 999_999_999]);
  const cursor = cursorOf(sent);
  assert.ok(cursor.length < 8 * 1024, `${cursor.length}`);
  assert.deepEqual(readBack(cursor, ids), new Map(sent));
});

test('what is no cursor, or one of another run, is told from one', () => {
  const id = idOf('12345678');
  for (const text of ['', 'abc', '12345678', '12345678.', '12345678.x', '12345678.1.', '12345678.1.9', '.1', ' 0'])
    assert.equal(parseRunCursor(text), undefined, text);
  for (const text of ['12345678.-1', '1234567.1', '12345678.1234567890', '12345678,1', '12345678.1\n'])
    assert.equal(parseRunCursor(text), undefined, text);
  assert.equal(parseRunCursor(Array.from({ length: 820 }, () => '12345678.1').join('.')), undefined, 'too long');
  assert.equal(readBack('12345679.1', [id]), undefined);
  assert.equal(readBack('12345678.1.12345678.2', [id]), undefined, 'the same one twice');
});
