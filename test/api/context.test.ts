import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { acceptingAgent } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

const shared = sharedContext();
let agent: AcceptingAgent;
let system: System;

const FRAMES = [
  { type: 'context.patch', patch: [{ op: 'add', path: '/found', value: [] }] },
  { type: 'context.patch', patch: [{ op: 'remove', path: '/nothing' }] },
  { type: 'context.patch', patch: 'garbage' },
  { type: 'context.rejected', reason: 'forged' },
  { type: 'context.patch', rev: 7, patch: [{ op: 'add', path: '/a', value: 1 }] },
  { type: 'context.patch', rev: 2, patch: [{ op: 'add', path: '/found/-', value: 'it' }] },
  { type: 'result', result: 1 },
];

before(async () => {
  agent = await acceptingAgent(shared);
  const streaming = await httpServer(shared, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.end(FRAMES.map((frame) => `${JSON.stringify(frame)}\n`).join(''));
  });
  system = await startSystem(shared, { agentNodes: { a: agent.url, s: streaming.url } });
});
after(shared.close);

async function start(target = 'a.work'): Promise<string> {
  return (await system.post(`/api/v1/execute/async/${target}`, {})).body.execution_id as string;
}

const path = (id: string) => `/api/v1/executions/${id}`;
const say = (id: string, ...events: object[]) => system.post(`${path(id)}/events`, { events });
const patch = (...operations: object[]) => ({ type: 'context.patch', patch: operations });
const logOf = async (id: string): Promise<Body[]> =>
  (await system.get(`${path(id)}/events`, { accept: 'application/json' })).body.events;

test("an agent's memory is patched, read, and read as what has changed", async () => {
  const id = await start();
  await agent.callbackUrl(id);
  assert.deepEqual((await system.get(`${path(id)}/context`)).body, { rev: 0, document: {} });
  const first = await say(
    id,
    patch({ op: 'add', path: '/plan', value: ['read'] }),
    patch({ op: 'add', path: '/plan/-', value: 'write' }),
  );
  assert.equal(first.body.context_rev, 2);
  const third = { ...patch({ op: 'replace', path: '/plan/0', value: 'think' }), rev: 3 };
  assert.equal((await say(id, third)).body.context_rev, 3);
  assert.deepEqual((await system.get(`${path(id)}/context`)).body, { rev: 3, document: { plan: ['think', 'write'] } });
  assert.equal((await system.get(path(id))).body.context_rev, 3);
  const { body } = await system.get(`${path(id)}/context?since_rev=1`);
  assert.deepEqual(
    body.patches.map(({ rev, patch: operations }: Body) => [rev, operations[0].op]),
    [
      [2, 'add'],
      [3, 'replace'],
    ],
  );
  await agent.report(id, { status: 'succeeded' });
  await system.end(id);
  assert.equal((await system.get(`${path(id)}/context`)).body.rev, 3, 'it is there after the end');
});

test('a patch that does not apply, or is meant for another revision, is refused and changes nothing', async () => {
  const id = await start();
  await agent.callbackUrl(id);
  await say(id, patch({ op: 'add', path: '/a', value: 1 }));
  const stale = await say(id, { ...patch({ op: 'add', path: '/b', value: 1 }), rev: 1 });
  assert.equal(stale.status, 409);
  assert.equal(stale.body.code, 'context_changed');
  assert.equal(stale.body.rev, 1);
  const missing = await say(
    id,
    patch({ op: 'add', path: '/c', value: 1 }),
    patch({ op: 'add', path: '/d', value: 1 }, { op: 'remove', path: '/x/y' }),
  );
  assert.equal(missing.status, 422);
  assert.equal(missing.body.detail, 'operation 1: the path does not exist');
  for (const flawed of [
    { patch: 1 },
    { patch: [] },
    { patch: [{ op: 'burn', path: '/a' }] },
    { patch: [{ op: 'add' }] },
  ])
    assert.equal((await say(id, { type: 'context.patch', ...flawed })).status, 400);
  assert.deepEqual((await system.get(`${path(id)}/context`)).body, { rev: 1, document: { a: 1 } });
  assert.equal((await logOf(id)).filter(({ kind }) => kind.startsWith('context')).length, 1);
});

test('in a stream, where nobody can be told, the log says what did not apply, and the rest counts', async () => {
  const id = await start('s.work');
  assert.equal((await system.end(id)).status, 'succeeded');
  assert.deepEqual((await system.get(`${path(id)}/context`)).body, { rev: 2, document: { found: ['it'] } });
  const events = (await logOf(id)).filter(({ kind }) => kind.startsWith('context') || kind === 'other');
  assert.deepEqual(
    events.map(({ kind, data }) => [kind, data.rev ?? data.data?.name ?? data.name]),
    [
      ['context.patch', 1],
      ['context.rejected', 1],
      ['other', 'context.patch'],
      ['other', 'context.rejected'],
      ['context.rejected', 1],
      ['context.patch', 2],
    ],
  );
  assert.equal(events[1].data.reason, 'the path does not exist');
});

test('bad requests for a context are refused', async () => {
  const id = await start();
  assert.equal((await system.get(`${path(id)}/context?since_rev=x`)).status, 400);
  assert.equal((await system.get(`${path(`exec_${'0'.repeat(32)}`)}/context`)).status, 404);
  assert.equal((await system.get(`${path('nobody')}/context`)).status, 404);
});
