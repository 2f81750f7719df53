import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MUTATIONS } from '../../chaos/mutations.ts';
import { ROOT } from '../support/temporal.ts';

for (const { name, file: ownFile, edits } of MUTATIONS)
  test(`mutation ${name} still has the text that it changes`, () => {
    for (const { find, file = ownFile } of edits)
      assert.equal(readFileSync(join(ROOT, file), 'utf8').split(find).length, 2, `${file}: ${find}`);
  });
