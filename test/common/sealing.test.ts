import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createSealer, parseSecretKeys, SealingError } from '../../common/sealing.ts';

const ID = 'exec_1';
const TEXT = JSON.stringify({ url: 'https://example.org/?token=käse', secret: 'whsec_😀', headers: {} });
const sealerOf = (...entries: [string, Buffer][]) => createSealer(new Map(entries));
const key = randomBytes(32);
const sealer = sealerOf(['k1', key]);

const refusal = (message: RegExp) => (err: unknown) => err instanceof SealingError && message.test(err.message);

test('what is sealed opens again, and shows nothing of itself', () => {
  for (const text of [TEXT, '', 'x', '\0', 'long '.repeat(10_000)]) {
    const sealed = sealer.seal(ID, text);
    assert.equal(sealer.unseal(ID, sealed), text);
    if (text.length < 8) continue;
    const bytes = Buffer.concat(sealed.split('.').map((part) => Buffer.from(part, 'base64url')));
    assert.ok(!sealed.includes(text.slice(0, 8)) && !bytes.includes(text.slice(0, 8)));
  }
});

test('sealing the same text twice gives two texts', () => {
  assert.notEqual(sealer.seal(ID, TEXT), sealer.seal(ID, TEXT));
});

test('a sealed text opens for its own execution only', () => {
  const sealed = sealer.seal(ID, TEXT);
  assert.throws(() => sealer.unseal('exec_2', sealed), refusal(/altered, or belongs to another execution/));
});

test('a sealed text that was altered anywhere, or cut, does not open', () => {
  const sealed = sealer.seal(ID, TEXT);
  const [version, id, nonce = '', body = ''] = sealed.split('.');
  const flip = (text: string, at: number) => {
    const bytes = Buffer.from(text, 'base64url');
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    return bytes.toString('base64url');
  };
  const length = Buffer.from(body, 'base64url').length;
  for (let at = 0; at < length; at++) {
    assert.throws(() => sealer.unseal(ID, [version, id, nonce, flip(body, at)].join('.')), refusal(/altered/));
  }
  assert.throws(() => sealer.unseal(ID, [version, id, flip(nonce, 3), body].join('.')), refusal(/altered/));
  assert.throws(() => sealer.unseal(ID, [version, id, '', body].join('.')), refusal(/altered/));
  assert.throws(() => sealer.unseal(ID, [version, id, nonce, body.slice(0, -4)].join('.')), refusal(/altered/));
  assert.throws(() => sealer.unseal(ID, [version, id, nonce, body.slice(0, 8)].join('.')), refusal(/cut short/));
  assert.throws(() => sealer.unseal(ID, ['v2', id, nonce, body].join('.')), refusal(/unknown version/));
  for (const nonsense of ['', '.', 'v1', 'v1.k1', 'v1.k1..', 'v1.k1.!.!', '\0'])
    assert.throws(() => sealer.unseal(ID, nonsense), SealingError);
});

test('a new key in front seals, and the old one still opens; without the old one the key is named', () => {
  const old = sealer.seal(ID, TEXT);
  const rotated = sealerOf(['k2', randomBytes(32)], ['k1', key]);
  assert.equal(rotated.unseal(ID, old), TEXT);
  const fresh = rotated.seal(ID, TEXT);
  assert.match(fresh, /^v1\.k2\./);
  assert.throws(() => sealer.unseal(ID, fresh), refusal(/sealed with key k2, which this process does not have/));
  assert.throws(() => sealerOf(['k1', randomBytes(32)]).unseal(ID, old), refusal(/altered/));
});

test('a mac is equal for equal texts, different for others, and needs the key', () => {
  const mac = sealer.mac(TEXT);
  assert.equal(mac, sealer.mac(TEXT));
  assert.ok(sealer.verifyMac(TEXT, mac));
  assert.ok(!sealer.verifyMac(`${TEXT} `, mac));
  assert.ok(!sealer.verifyMac(TEXT, `${mac.slice(0, -4)}AAAA`));
  assert.ok(!sealer.verifyMac(TEXT, 'k1.'));
  assert.ok(!sealer.verifyMac(TEXT, mac.slice(0, -8)));
  assert.ok(!sealerOf(['k1', randomBytes(32)]).verifyMac(TEXT, mac), 'another key, another mac');
  assert.ok(sealerOf(['k2', randomBytes(32)], ['k1', key]).verifyMac(TEXT, mac), 'an old key still verifies');
});

test('keys are read one per line or comma, the first one first', () => {
  const one = randomBytes(32).toString('base64');
  const two = randomBytes(32).toString('base64');
  for (const text of [`a:${one},b:${two}`, `a:${one}\nb:${two}\n`, ` a:${one} ,\r\n b:${two}`]) {
    const keys = parseSecretKeys(text);
    assert.deepEqual([...keys.keys()], ['a', 'b']);
    assert.equal(keys.get('b')?.toString('base64'), two);
  }
});

test('keys that cannot be used are refused in one line that never shows them', () => {
  const short = randomBytes(16).toString('base64');
  const good = randomBytes(32).toString('base64');
  for (const text of [
    '',
    '  \n',
    short,
    `k:${short}`,
    `k:`,
    good,
    `:${good}`,
    `k k:${good}`,
    `k.1:${good}`,
    `a:${good},a:${good}`,
  ]) {
    assert.throws(
      () => parseSecretKeys(text),
      (err: unknown) => {
        assert.ok(err instanceof SealingError, text);
        assert.ok(!err.message.includes('\n') && err.message.length < 200);
        assert.ok(!err.message.includes(short) && !err.message.includes(good));
        return true;
      },
    );
  }
  assert.throws(() => createSealer(new Map()), refusal(/no secret key/));
});
