import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyNode, foldNode, instanceOf } from '../../workflows/node-state.ts';

test('one that is lost is still known, however many were lost that registered after it', () => {
  const state = emptyNode('n');
  const register = (instanceId: string) =>
    foldNode(state, {
      kind: 'register',
      registration: {
        instanceId,
        baseUrl: `http://127.0.0.1/${instanceId}`,
        reasoners: [],
        skills: [],
        leaseMs: 1_000,
        at: '2026-01-01T00:00:00.000Z',
      },
    });
  const lose = (instanceId: string) =>
    foldNode(state, { kind: 'probed', result: { instanceId, registrations: 1, isAlive: false } });
  register('first');
  for (let i = 0; i < 150; i++) {
    register(`other ${i}`);
    lose(`other ${i}`);
  }
  assert.ok(state.instances.length < 150, 'they are not kept for ever');
  lose('first');
  assert.equal(instanceOf(state, 'first')?.status, 'lost', 'who had its calls has to be told');
  assert.equal(state.instances.at(-1)?.instanceId, 'first');
});
