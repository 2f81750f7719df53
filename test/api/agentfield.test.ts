import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { acceptingAgent } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer, sendJson } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

const shared = sharedContext();
let accepting: AcceptingAgent;
let system: System;
before(async () => {
  accepting = await acceptingAgent(shared);
  const direct = await httpServer(shared, (_request, response) => sendJson(response, 200, [1, 2]));
  system = await startSystem(shared, { agentNodes: { later: accepting.url, direct: direct.url } });
});
after(shared.close);

test('the older endpoints wait for the result, also of an agent that says 202', async () => {
  const direct = await system.post('/api/v1/reasoners/direct.work', { input: {} });
  assert.equal(direct.status, 200);
  assert.deepEqual(direct.body.result, [1, 2]);
  assert.equal(direct.body.node_id, 'direct');
  assert.ok(direct.headers.get('x-workflow-id'));
  const waiting = system.post('/api/v1/skills/later.work', { input: {} });
  const [call] = await accepting.waitFor(1);
  const url = String(call?.headers['perdure-callback-url']);
  await fetch(url, { method: 'POST', body: JSON.stringify({ status: 'succeeded', result: 'late' }) });
  assert.equal((await waiting).body.result, 'late');
  assert.equal((await system.post('/api/v1/reasoners/nobody.work', { input: {} })).status, 404);
});

test('notes are in the log, and found by their tags', async () => {
  const { body } = await system.post('/api/v1/execute/async/later.work', {});
  const id = body.execution_id as string;
  await accepting.callbackUrl(id);
  const note = (message: string, tags?: string[]) =>
    system.post('/api/v1/executions/note', { message, tags, agent_node_id: 'later' }, { 'x-execution-id': id });
  assert.equal((await note('first', ['Alpha'])).body.note.message, 'first');
  assert.equal((await note('second')).status, 200);
  assert.equal((await system.post('/api/v1/executions/note', { message: 'x' })).status, 400);
  const list = async (query: string) =>
    (await system.get(`/api/v1/executions/${id}/notes${query}`)).body.notes.map(({ message }: Body) => message);
  assert.deepEqual(await list(''), ['first', 'second']);
  assert.deepEqual(await list('?tags=alpha,beta'), ['first']);
});

test('what an SDK tells beside is taken at once', async () => {
  const { body } = await system.post('/api/v1/execute/async/later.work', {});
  const logs = `/api/v1/executions/${body.execution_id}/logs`;
  assert.equal((await system.post(logs, { message: 'x', agent_node_id: 'later' })).body.accepted, 1);
  assert.equal((await system.post(logs, { entries: [{ message: 'a' }, { message: 'b' }] })).body.accepted, 2);
  const events = await system.post('/api/v1/workflow/executions/events', { execution_id: 'x', status: 'succeeded' });
  assert.equal(events.body.success, true);
  for (const path of ['did/register', 'execution/vc', 'triggers']) {
    const answer = await system.post(`/api/v1/${path}`, {});
    assert.equal(answer.status, 404, path);
    assert.ok(answer.body.error);
  }
});

test('discovery tells what there is to be called', async () => {
  const agent = await httpServer(shared, (_request, response) => sendJson(response, 200, {}));
  const reasoners = [{ id: 'sum_up', tags: ['text'], input_schema: { type: 'object' } }, { id: 'other' }];
  const skills = [{ id: 'add', tags: ['math'] }];
  await system.post('/api/v1/nodes', { id: 'found', base_url: agent.url, reasoners, skills });
  const ask = async (query: string) => (await system.get(`/api/v1/discovery/capabilities${query}`)).body;
  const all = await ask('?include_input_schema=true');
  const found = all.capabilities.find(({ agent_id }: Body) => agent_id === 'found');
  assert.deepEqual(
    found.reasoners.map(({ invocation_target }: Body) => invocation_target),
    ['found.sum_up', 'found.other'],
  );
  assert.deepEqual(found.reasoners[0].input_schema, { type: 'object' });
  const narrow = await ask('?reasoner=sum*&format=compact');
  assert.deepEqual(narrow.reasoners, [{ id: 'sum_up', agent_id: 'found', target: 'found.sum_up', tags: ['text'] }]);
  assert.deepEqual(narrow.skills, []);
  assert.equal((await ask('?tags=math')).total_skills, 1);
});

test('an input that does not match what its reasoner has registered is refused with its paths', async () => {
  const agent = await httpServer(shared, (_request, response) => sendJson(response, 200, {}));
  const input_schema = {
    type: 'object',
    required: ['q'],
    properties: { q: { type: 'string' }, list: { type: 'array', items: { type: 'integer' } } },
  };
  const register = (more: object) =>
    system.post('/api/v1/nodes/register', {
      id: 'strict',
      base_url: agent.url,
      reasoners: [
        { id: 'work', input_schema },
        { id: 'odd', input_schema: { $ref: 'https://example.org/else.json' } },
      ],
      ...more,
    });
  await register({});
  const bad = await system.post('/api/v1/execute/async/strict.work', { input: { list: [1, 'x'] } });
  assert.equal(bad.status, 400);
  assert.deepEqual(
    bad.body.errors.map(({ path }: Body) => path),
    ['$.input', '$.input.list[1]'],
  );
  assert.equal((await system.post('/api/v1/execute/async/strict.work', { input: { q: 'x' } })).status, 202);
  assert.equal((await system.post('/api/v1/execute/async/strict.odd', { input: {} })).status, 202);
  await register({ validate_input: false });
  assert.equal((await system.post('/api/v1/execute/async/strict.work', { input: {} })).status, 202);
});
