import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { acceptingAgent } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { webhookReceiver } from '../support/http-server.ts';
import type { TestServer } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { followEvents } from '../support/sse-client.ts';
import { startSystem } from '../support/system.ts';
import type { Answered, Body, System } from '../support/system.ts';

/**
 * Whatever happens to an execution, in whatever order and at the same time: its poll, its workflow's own answer, its
 * event stream, its log in pages and its webhook tell the same story.
 */

const shared = sharedContext();
let agent: AcceptingAgent;
let receiver: TestServer;
let system: System;
before(async () => {
  agent = await acceptingAgent(shared);
  receiver = await webhookReceiver(shared, 204);
  system = await startSystem(shared, {
    agentNodes: { a: agent.url },
    policy: { cancelGraceMs: 50, maxRunEvents: 60 },
  });
});
after(shared.close);

const ACTS = {
  step: (id) => say(id, { type: 'step', kind: 'thought', name: 'hm' }),
  progress: (id) => say(id, { type: 'progress', current_action: 'on it', progress_pct: 50 }),
  steps: (id) => say(id, ...Array.from({ length: 5 }, (_, i) => ({ type: 'note', text: `n${i}` }))),
  usage: (id) => say(id, { type: 'usage', input_tokens: 10, cost_usd: 0.5 }),
  patch: (id) => say(id, { type: 'context.patch', patch: [{ op: 'add', path: '/a', value: 1 }] }),
  repeated: (id) => say(id, { type: 'note', text: 'once', id: 'once' }),
  checkpoint: (id) => say(id, { type: 'checkpoint', data: { at: 1 } }),
  message: (id) => post(id, 'messages', { text: 'hello' }),
  interrupt: (id) => post(id, 'messages', { id: 'halt', text: 'halt', interrupt: true }),
  stale: (id) => post(id, 'messages', { text: 'old news', if_rev: 0 }),
  receipt: (id) => say(id, { type: 'steer.applied', message_id: 'halt' }),
  pause: (id) => post(id, 'pause', {}),
  resume: (id) => post(id, 'resume', {}),
  ask: (id) => post(id, 'status', { status: 'waiting', waiting: { kind: 'approval', text: '?' }, checkpoint: 2 }),
  approve: (id) => post(id, 'approval', { decision: 'approve' }),
  crash: async () => {
    await system.stopWorker();
    await system.startWorker();
  },
} satisfies Record<string, (id: string) => Promise<unknown>>;
const ENDS = {
  succeed: (id) => endTurn(id, { status: 'succeeded', result: { done: true } }),
  fail: (id) => endTurn(id, { status: 'failed', error: 'no', partial_result: 1 }),
  cancel: (id) => post(id, 'cancel', { reason: 'enough' }),
  both: (id) => Promise.all([post(id, 'cancel', {}), endTurn(id, { status: 'succeeded', result: 1 })]),
} satisfies Record<string, (id: string) => Promise<unknown>>;

const post = (id: string, what: string, body: object) => system.post(`/api/v1/executions/${id}/${what}`, body);
const say = (id: string, ...events: object[]) => post(id, 'events', { events });

/** In the turn that the agent is in. */
async function endTurn(id: string, word: object): Promise<Answered> {
  const { turn } = (await system.get(`/api/v1/executions/${id}`)).body as Body;
  return post(id, `status?turn=${turn}`, word);
}

/** The poll and the workflow's own answer, of the same moment. */
async function agreeing(id: string): Promise<Body> {
  for (;;) {
    const { body: asked } = await system.get(`/api/v1/executions/${id}`, { 'cache-control': 'no-cache' });
    const { body: polled } = await system.get(`/api/v1/executions/${id}`);
    if (asked.sequence !== polled.sequence || asked.status === undefined) continue;
    assert.deepEqual(storyIn(polled), storyIn(asked), 'the workflow and its history disagree');
    return polled as Body;
  }
}

/** Without what Temporal itself tells, and what depends on when it was asked. */
function storyIn(view: Body): Body {
  const { waiting_on: _, estimated_completion: __, estimate_basis: ___, ...story } = view as Body;
  return story as Body;
}

async function logOf(id: string): Promise<Body[]> {
  const { body } = await system.get(`/api/v1/executions/${id}/events?limit=1000`, { accept: 'application/json' });
  return body.events as Body[];
}

const act = fc.constantFrom(...(Object.keys(ACTS) as (keyof typeof ACTS)[]));
const plan = fc.record({
  /** One after the other; those of one step at the same time. */
  steps: fc.array(fc.array(act, { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 8 }),
  end: fc.constantFrom(...(Object.keys(ENDS) as (keyof typeof ENDS)[])),
});

test('all channels agree at every step, whatever happens', async () => {
  const property = fc.asyncProperty(plan, async ({ steps, end }) => {
    const { body } = await system.post('/api/v1/execute/async/a.work', { webhook: { url: receiver.url } });
    const id = body.execution_id as string;
    await agent.callbackUrl(id);
    const live = await followEvents(`${system.url}/api/v1/executions/${id}/events?after=0`);
    for (const together of steps) {
      const answers = await Promise.all(together.map((name) => ACTS[name](id)));
      for (const answer of answers as (Answered | undefined)[])
        assert.ok((answer?.status ?? 200) < 500, JSON.stringify(answer?.body));
      const view = await agreeing(id);
      const log = await logOf(id);
      assert.deepEqual(
        log.map(({ sequence }) => sequence),
        log.map((_, i) => i + 1),
      );
      assert.ok(log.length >= view.sequence);
    }
    // A turn that waits has to go on before it can end; a pause does not keep an end back.
    await ENDS[end](id);
    if ((await agreeing(id)).waiting) await post(id, 'cancel', {});
    let view = await agreeing(id);
    if (!view.completed_at && end !== 'cancel') await ENDS.cancel(id);
    view = await system.end(id);
    const streamed = (await live.all()).slice(0, -1).map(({ data }) => data as Body);
    assert.deepEqual(streamed, await logOf(id));
    const outcome = streamed.find(({ kind }) => kind === 'outcome');
    assert.equal(outcome?.data.status, view.status);
    const [delivery] = await receiver.waitFor(1, ({ body: sent }) => sent.includes(id));
    const told = JSON.parse(delivery?.body ?? '{}') as Body;
    assert.deepEqual(
      [told.status, told.sequence, told.result ?? null, told.error ?? null],
      [view.status, outcome?.sequence, view.result, view.error],
    );
  });
  await fc.assert(property, { numRuns: Number(process.env.PERDURE_TEST_RUNS ?? 8), endOnFailure: true });
});
