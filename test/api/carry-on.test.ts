import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { acceptingAgent, isCallOf } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { webhookReceiver } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { followEvents } from '../support/sse-client.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

/** An execution whose history gets long goes on in another Temporal run, and nobody who reads it notices. */

const shared = sharedContext();
let agent: AcceptingAgent;
let system: System;
before(async () => {
  agent = await acceptingAgent(shared);
  system = await startSystem(shared, { agentNodes: { a: agent.url }, policy: { maxRunEvents: 40 } });
});
after(shared.close);

const path = (id: string) => `/api/v1/executions/${id}`;
const say = (id: string, ...events: object[]) => system.post(`${path(id)}/events`, { events });
const pagesOf = async (id: string): Promise<Body[]> => {
  const all: Body[] = [];
  for (let page: Body = { next_after: 0, has_more: true }; page.has_more;) {
    ({ body: page } = await system.get(`${path(id)}/events?limit=7&after=${page.next_after}`, {
      accept: 'application/json',
    }));
    all.push(...page.events);
  }
  return all;
};
const runsOf = async (id: string): Promise<number> => {
  let runs = 0;
  for (let runId: string | undefined = (await system.client.workflow.getHandle(id).describe()).runId; runId; runs++) {
    const { events } = await system.client.workflow.getHandle(id, runId).fetchHistory();
    runId = events?.[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId ?? undefined;
    if (runId === '') runId = undefined;
  }
  return runs;
};

async function start(more: object = {}): Promise<string> {
  const { body } = await system.post('/api/v1/execute/async/a.work', more);
  await agent.callbackUrl(body.execution_id);
  await system.running(body.execution_id);
  return body.execution_id as string;
}

test('one log over many runs: live, resumed at every entry, in pages, and by the webhook', async (t) => {
  const receiver = await webhookReceiver(t, 204);
  const id = await start({ webhook: { url: receiver.url }, timeout_ms: 600_000 });
  const live = await followEvents(`${system.url}${path(id)}/events?after=0`);
  await say(id, { type: 'context.patch', patch: [{ op: 'add', path: '/n', value: 0 }] });
  await system.post(`${path(id)}/messages`, { id: 'm', text: 'remember me' });
  for (let i = 1; i <= 60; i++) {
    const { status, body } = await say(id, { type: 'step', kind: 'thought', name: `s${i}`, id: `e${i}` });
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(body.messages[0].id, 'm', 'a message that is not dealt with is carried on');
  }
  assert.equal((await say(id, { type: 'step', kind: 'thought', id: 'e1' })).body.control, 'continue');
  assert.ok((await runsOf(id)) >= 3, 'the history was carried over');
  assert.equal((await agent.report(id, { status: 'succeeded', result: 'done' })).status, 200);
  const view = await system.end(id);
  assert.equal(view.result, 'done');
  assert.equal(view.context_rev, 1);
  const [delivery] = await receiver.waitFor(1);
  const log = await live.all();
  const entries = log.slice(0, -1).map(({ data }) => data as Body);
  assert.deepEqual(
    entries.map(({ sequence }) => sequence),
    entries.map((_, i) => i + 1),
    'numbered without a gap or a repeat',
  );
  assert.equal(entries.filter(({ kind }) => kind === 'step').length, 60, 'an event with an id is recorded once');
  const outcome = entries.find(({ kind }) => kind === 'outcome');
  assert.equal((JSON.parse(delivery?.body ?? '{}') as Body).sequence, outcome?.sequence);
  assert.deepEqual(await pagesOf(id), entries);
  for (let from = 0; from < entries.length; from += 5) {
    const rest = await (await followEvents(`${system.url}${path(id)}/events?after=${from}`)).all();
    assert.deepEqual(
      rest.slice(0, -1).map(({ data }) => data as Body),
      entries.slice(from),
    );
  }
  assert.equal(agent.received.filter(isCallOf(id)).length, 1);
});

test('the time limit counts from the start of the first run', async () => {
  const id = await start({ timeout_ms: 4_000 });
  const begun = Date.now();
  for (let i = 0; (await runsOf(id)) < 2; i++) await say(id, { type: 'note', text: `${i}` });
  const view = await system.end(id);
  assert.equal(view.status, 'timeout');
  assert.ok(view.duration_ms >= 4_000);
  assert.ok(Date.now() - begun < 60_000);
});

test('a question outlives the run it was asked in, with its answer and its expiry', async () => {
  const id = await start();
  await agent.report(id, {
    status: 'waiting',
    waiting: { kind: 'approval', text: 'go on?', expires_in_ms: 3_600_000, default: 'reject' },
    checkpoint: 7,
  });
  for (let i = 0; (await runsOf(id)) < 2; i++) {
    const { body } = await system.post(`${path(id)}/pause`);
    assert.equal(body.waiting.text, 'go on?');
    await system.post(`${path(id)}/resume`);
  }
  assert.equal((await system.get(path(id))).body.status, 'waiting');
  await system.post(`${path(id)}/approval`, { decision: 'approve' });
  const [, second] = await agent.waitFor(2, isCallOf(id));
  const { turn, checkpoint, answer } = JSON.parse(second?.body ?? '{}') as Body;
  assert.deepEqual([turn, checkpoint, answer.decision], [2, 7, 'approve']);
  await fetch(String(second?.headers['perdure-callback-url']), {
    method: 'POST',
    body: JSON.stringify({ status: 'succeeded' }),
  });
  assert.equal((await system.end(id)).status, 'succeeded');
});

test('a list shows it once', async () => {
  const run = `carried-${Date.now()}`;
  const { body } = await system.post('/api/v1/execute/async/a.work', {}, { 'x-run-id': run });
  const id = body.execution_id as string;
  await agent.callbackUrl(id);
  await system.running(id);
  for (let i = 0; (await runsOf(id)) < 3; i++) await say(id, { type: 'note', text: `${i}` });
  const listed = async () => (await system.get(`/api/v1/executions?run_id=${run}`)).body.executions as Body[];
  while ((await listed()).length === 0);
  assert.equal((await listed()).length, 1);
  await agent.report(id, { status: 'succeeded' });
  await system.end(id);
});
