import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { acceptingAgent } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const shared = sharedContext();
let agent: AcceptingAgent;
let system: System;
before(async () => {
  agent = await acceptingAgent(shared);
  system = await startSystem(shared, { agentNodes: { slow: agent.url } });
});
after(shared.close);

async function submit(headers: Record<string, string> = {}): Promise<string> {
  const answer = await system.post('/api/v1/execute/async/slow.work', {}, headers);
  assert.equal(answer.status, 202, answer.text);
  return answer.body.execution_id as string;
}

test('an execution has every field at every stage', async () => {
  const fields = (
    'execution_id run_id target type status created_at started_at completed_at duration_ms lane current_action ' +
    'progress_pct estimated_completion estimate_basis waiting_on last_step usage result error error_details error_category webhook_registered webhook_events ' +
    'sequence context_rev turn cancelling paused waiting open_messages'
  )
    .split(' ')
    .toSorted();
  const id = await submit();
  const first = await system.get(`/api/v1/executions/${id}`);
  assert.deepEqual(Object.keys(first.body).toSorted(), fields);
  assert.ok(Number(first.headers.get('Retry-After')) >= 1);
  assert.equal(first.body.completed_at, null);
  await agent.report(id, { status: 'succeeded', result: 1 });
  const last = await system.end(id);
  assert.deepEqual(Object.keys(last).toSorted(), fields);
  assert.ok(last.started_at >= last.created_at.slice(0, 19));
  assert.ok(last.completed_at >= last.started_at);
  assert.equal(last.duration_ms, Date.parse(last.completed_at) - Date.parse(last.started_at));
  assert.equal((await system.get(`/api/v1/executions/${id}`)).headers.get('Retry-After'), null);
});

test('an ETag names a state: unchanged is 304, changed is 200', async () => {
  const id = await submit();
  await agent.report(id, { status: 'running', progress: 1 });
  const { headers } = await system.get(`/api/v1/executions/${id}`);
  const etag = headers.get('ETag') ?? '';
  const again = await system.get(`/api/v1/executions/${id}`, { 'If-None-Match': etag });
  assert.equal(again.status, 304);
  assert.equal(again.text, '');
  assert.equal((await system.get(`/api/v1/executions/${id}`, { 'If-None-Match': `W/${etag}, "x"` })).status, 304);
  await agent.report(id, { status: 'running', progress: 2 });
  const changed = await system.get(`/api/v1/executions/${id}`, { 'If-None-Match': etag });
  assert.equal(changed.status, 200);
  assert.notEqual(changed.headers.get('ETag'), etag);
  await agent.report(id, { status: 'ok' });
});

test('wait answers at the next change, not at the end of its time', async () => {
  const id = await submit();
  const before = await system.running(id);
  const startedAt = Date.now();
  const waiting = system.get(`/api/v1/executions/${id}?wait=60`);
  await agent.report(id, { status: 'running', current_action: 'half way' });
  const { body } = await waiting;
  assert.equal(body.current_action, 'half way');
  assert.ok(body.sequence > before.sequence);
  assert.ok(Date.now() - startedAt < 30_000);
  await agent.report(id, { status: 'ok' });
});

test('wait with If-None-Match answers at once when the change has been already, and 304 when none comes', async () => {
  const id = await submit();
  await agent.report(id, { status: 'running', progress: 1 });
  const etag = (await system.get(`/api/v1/executions/${id}`)).headers.get('ETag') ?? '';
  const none = await system.get(`/api/v1/executions/${id}?wait=1`, { 'If-None-Match': etag });
  assert.equal(none.status, 304);
  await agent.report(id, { status: 'running', progress: 2 });
  const missed = await system.get(`/api/v1/executions/${id}?wait=60`, { 'If-None-Match': etag });
  assert.equal(missed.body.progress_pct, 2);
  await agent.report(id, { status: 'ok' });
});

test('batch status answers for all in one round, the unknown among them', async () => {
  const ids = await Promise.all([submit(), submit(), submit()]);
  await agent.report(ids[0] ?? '', { status: 'succeeded', result: 'first' });
  await system.end(ids[0] ?? '');
  const { status, body } = await system.post('/api/v1/executions/batch-status', {
    execution_ids: [...ids, 'exec_00000000000000000000000000000000', 'nonsense', ids[0]],
  });
  assert.equal(status, 200);
  assert.equal(Object.keys(body).length, 5);
  assert.deepEqual(body[ids[0] ?? ''], (await system.get(`/api/v1/executions/${ids[0]}`)).body);
  assert.equal(body[ids[1] ?? ''].execution_id, ids[1]);
  assert.equal(body.nonsense.status, 'not_found');
  assert.equal(body.exec_00000000000000000000000000000000.status, 'not_found');
  assert.deepEqual((await system.post('/api/v1/executions/batch-status', { execution_ids: [] })).body, {});
});

test('a list is newest first, pages by cursor without a gap or a repeat, and filters', async () => {
  const run = `run_${Date.now()}`;
  const ids: string[] = [];
  for (let i = 0; i < 7; i++) ids.unshift(await submit({ 'X-Run-ID': run }));
  await agent.report(ids[6] ?? '', { status: 'succeeded', result: 1 });
  await agent.report(ids[5] ?? '', { status: 'failed', error: 'no' });
  await agent.report(ids[4] ?? '', { status: 'cancelled' });
  await agent.report(ids[3] ?? '', { status: 'timeout' });
  for (const id of ids.slice(3)) await system.end(id);

  const list = async (query: string): Promise<string[]> => {
    const { body } = await system.get(`/api/v1/executions?run_id=${run}&${query}`);
    return (body.executions as { execution_id: string }[]).map((item) => item.execution_id);
  };
  // Visibility follows a moment later.
  const eventually = async (query: string, wanted: string[]) => {
    let got: string[] = [];
    for (let i = 0; i < 300; i++) {
      got = await list(query);
      if (JSON.stringify(got) === JSON.stringify(wanted)) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.deepEqual(got, wanted, query);
  };
  await eventually('limit=100', ids);
  await eventually('status=succeeded', [ids[6] ?? '']);
  await eventually('status=failed', [ids[5] ?? '']);
  await eventually('status=cancelled', [ids[4] ?? '']);
  await eventually('status=timeout', [ids[3] ?? '']);
  await eventually('status=running', ids.slice(0, 3));
  await eventually('target=slow.other', []);

  const paged: string[] = [];
  let next: string | null = `/api/v1/executions?run_id=${run}&limit=3`;
  while (next) {
    const page = await system.get(next);
    paged.push(...(page.body.executions as { execution_id: string }[]).map((item) => item.execution_id));
    next = /^<(.+)>; rel="next"$/.exec(page.headers.get('Link') ?? '')?.[1] ?? null;
    assert.equal(next === null, page.body.next_cursor === null);
  }
  assert.deepEqual(paged, ids);

  const { body } = await system.get(`/api/v1/executions/${ids[2]}`);
  const since = encodeURIComponent(new Date(Date.parse(body.created_at) - 5).toISOString());
  const recent = await list(`since=${since}`);
  assert.ok(recent.includes(ids[2] ?? '') && !recent.includes(ids[6] ?? ''));
  for (const id of ids.slice(0, 3)) await agent.report(id, { status: 'ok' });
});

test('Cache-Control: no-cache asks the workflow itself, and its answer is the same as the projection', async () => {
  const id = await submit();
  const same = async () => {
    const projected = await system.get(`/api/v1/executions/${id}`);
    const asked = await system.get(`/api/v1/executions/${id}`, { 'Cache-Control': 'no-cache' });
    assert.deepEqual(asked.body, projected.body);
  };
  await agent.report(id, { status: 'running', progress: 10, current_action: 'a' });
  await same();
  await agent.report(id, { status: 'running', progress: 20 });
  await same();
  await agent.report(id, { status: 'failed', error: 'x', error_details: { y: [1] } });
  await system.end(id);
  await same();
});

test('past the limit of watchers everything still answers', async (t) => {
  const small = await startSystem(t, { agentNodes: { slow: agent.url }, limits: { maxWatchers: 1 } });
  const submits = Array.from({ length: 4 }, () => small.post('/api/v1/execute/async/slow.work', {}));
  const ids = (await Promise.all(submits)).map(({ body }) => body.execution_id as string);
  const ends = Promise.all(ids.map((id) => small.end(id)));
  for (const id of ids) await agent.report(id, { status: 'ok', result: id });
  for (const view of await ends) assert.equal(view.result, view.execution_id);
});
