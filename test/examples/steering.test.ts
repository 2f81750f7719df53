import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { httpServer, sendJson } from '../support/http-server.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';
import { freePort } from '../support/temporal.ts';
import { post, start, until, type Env } from './support.ts';

const RESEARCH = 'examples/research-agent.ts';
const APPROVAL = 'examples/approval-agent.ts';

/** Documents of our own. Whoever asks for the ferry hears of the lighthouse only when somebody says so. */
function documentsRoot(t: TestContext): string {
  const root = mkdtempSync(join(tmpdir(), 'perdure-steering-'));
  t.after(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'docs'));
  for (const place of ['Inverness', 'Tobermory', 'Oban', 'Mallaig', 'Ullapool', 'Stornoway'])
    writeFileSync(join(root, 'docs', `${place}.md`), `# ${place}\n\nThe ferry to ${place} leaves at noon.\n`);
  writeFileSync(join(root, 'lighthouse.md'), '# Lighthouse\n\nThe lighthouse burns oil. Keepers tend it.\n');
  return root;
}

interface Asked {
  events: Body[];
}

/** Plays the place where agents ask for their directions; `answer` gets what was told, and how often it was asked. */
async function directionsServer(t: TestContext, answer: (asked: Asked, nth: number) => Body) {
  const asked: Asked[] = [];
  const { url } = await httpServer(t, ({ body }, response) => {
    const question = JSON.parse(body) as Asked;
    asked.push(question);
    const { status = 200, ...directions } = answer(question, asked.length);
    if (status === 'hang up') return void response.destroy();
    sendJson(response, status, { control: 'continue', messages: [], ...directions });
  });
  return {
    asked,
    told: () => asked.flatMap(({ events }) => events),
    headers: { 'perdure-events-url': `${url}/events` },
  };
}

/** Asks for ferries, and gives the frames of the answer. */
async function research(t: TestContext, headers: Env): Promise<Body[]> {
  const { url } = await start(t, RESEARCH, { DOCUMENTS_ROOT: documentsRoot(t), HOLD_POLL_MS: '5' });
  const response = await post(`${url}/reasoners/deep_analysis`, { question: 'ferry' }, headers);
  return (await response.text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Body);
}

const receiptsOf = (events: Body[]): Body[] => events.filter(({ type }) => type.startsWith('steer.'));
const documentsOf = ({ findings }: Body): string[] => findings.map(({ document }: Body) => document);

test('research-agent does its work although nobody answers what it asks', async (t) => {
  const undisturbed = (await research(t, {})).at(-1);
  for (const status of [500, 404, 'hang up']) {
    const { asked, headers } = await directionsServer(t, () => ({ status, control: undefined, messages: undefined }));
    const frames = await research(t, headers);
    assert.ok(asked.length >= 7, `it asks before each step: ${asked.length}`);
    assert.deepEqual(frames.at(-1), undisturbed, `${status}`);
  }
});

test('research-agent holds for as long as it is told to, also while nobody can be asked', async (t) => {
  let asks = 0;
  for (const whileHeld of [{ control: 'hold' }, { status: 503, control: undefined }]) {
    const { asked, headers } = await directionsServer(t, (_asked, nth) =>
      nth === 1 ? { control: 'hold' } : nth <= 5 ? whileHeld : {},
    );
    assert.equal((await research(t, headers)).at(-1).type, 'result');
    assert.ok(asks === 0 || asks === asked.length, 'the same in both cases');
    asks = asked.length;
  }
  const { asked, headers } = await directionsServer(t, () => ({}));
  await research(t, headers);
  assert.equal(asks, asked.length + 5);
});

test('research-agent follows a message once, and says of each what became of it until that is heard', async (t) => {
  const messages = [
    { id: 'm1', text: 'focus on the lighthouse' },
    { id: 'm2', text: 'please look at this' },
    { id: 'm3', data: { lighthouse: true } },
  ];
  const { told, headers } = await directionsServer(t, (_asked, nth) => {
    // What is told first gets lost.
    if (nth === 3) return { status: 503 };
    return { messages: nth >= 2 && nth <= 5 ? messages : [] };
  });
  const frames = await research(t, headers);
  const { followed, answer, ...result } = frames.at(-1).result;
  assert.deepEqual(followed, [{ message_id: 'm1', text: 'focus on the lighthouse', words: ['lighthouse'] }]);
  assert.equal(documentsOf(result)[0], 'lighthouse.md', 'what was asked for comes first');
  assert.match(answer, /burns oil.*\n\nFollowed on the way: "focus on the lighthouse"\.$/s);
  assert.equal(frames.filter(({ name }) => name === 'follow_message').length, 1);
  const receipts = receiptsOf(told());
  assert.deepEqual(receipts.slice(3), receipts.slice(0, 3), 'told again, and then no more');
  assert.deepEqual(
    receipts.slice(0, 3).map(({ type, message_id: id }) => [type, id]),
    [
      ['steer.applied', 'm1'],
      ['steer.rejected', 'm2'],
      ['steer.rejected', 'm3'],
    ],
  );
  assert.deepEqual([receipts[0].step, receipts[1].reason], ['search', 'it has no words to search for']);
});

test('research-agent leaves its findings behind when it learns of a cancel, and stops', async (t) => {
  const { asked, headers } = await directionsServer(t, (_asked, nth) => (nth === 5 ? { control: 'cancel' } : {}));
  const frames = await research(t, headers);
  const [partial, last] = frames.slice(-2);
  assert.deepEqual([partial.type, last.type, last.retryable], ['partial_result', 'error', false]);
  assert.equal(documentsOf(partial.data).length, 2);
  assert.equal(asked.length, 5);
});

/** A real system whose agent is an example, in a process of its own. */
async function systemWith(t: TestContext, node: string, file: string, env: Env = {}): Promise<System> {
  const agent = await start(t, file, { HOLD_POLL_MS: '20', ...env });
  return startSystem(t, { agentNodes: { [node]: agent.url } });
}

async function submit(system: System, target: string, input: Body): Promise<string> {
  const { status, body, text } = await system.post(`/api/v1/execute/async/${target}`, { input });
  assert.equal(status, 202, text);
  return body.execution_id;
}

/** Connects as a person who steers does. */
function steer(t: TestContext, { url }: System, id: string) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/api/v1/executions/${id}/steer?after=0`);
  t.after(() => socket.terminate());
  const frames: Body[] = [];
  let look = (): void => undefined;
  socket.on('message', (data: Buffer) => {
    frames.push(JSON.parse(data.toString()));
    look();
  });
  return {
    say: (message: Body) => socket.send(JSON.stringify(message)),
    /** Waits for the frame that is so. */
    until: async (isIt: (frame: Body) => boolean): Promise<Body> => {
      const found = () => frames.find(isIt);
      const deadline = AbortSignal.timeout(60_000);
      while (!found())
        await new Promise<void>((resolve, reject) => {
          look = resolve;
          deadline.onabort = () => reject(new Error(`not among ${JSON.stringify(frames)}`));
        });
      return found();
    },
  };
}

const receipt = (kind: string, id: string) => (frame: Body) => frame.kind === kind && frame.data.id === id;

test('a working research-agent is steered by POST and by WebSocket, and its answer follows', async (t) => {
  const system = await systemWith(t, 'research-agent', RESEARCH, { DOCUMENTS_ROOT: documentsRoot(t) });
  const input = { question: 'ferry', max_documents: 2, demo: { step_ms: 100 } };
  const [id, other] = [
    await submit(system, 'research-agent.deep_analysis', input),
    await submit(system, 'research-agent.deep_analysis', input),
  ];
  await system.running(id);
  const path = `/api/v1/executions/${id}`;
  const person = steer(t, system, id);
  // Held, it has the time to hear all that is said.
  assert.equal((await system.post(`${path}/pause`, { by: 'Grace' })).status, 200);
  await person.until(({ kind }) => kind === 'paused');
  const posted = await system.post(`${path}/messages`, { id: 'm1', text: 'focus on the lighthouse', from: 'Grace' });
  assert.deepEqual([posted.status, posted.body.id], [202, 'm1']);
  await person.until(receipt('steer.applied', 'm1'));
  person.say({ id: 'm2', text: 'look at Oban' });
  person.say({ id: 'm3', text: '?!' });
  await person.until((frame) => frame.kind === 'receipt' && frame.id === 'm2');
  await person.until(receipt('steer.applied', 'm2'));
  await person.until(receipt('steer.rejected', 'm3'));
  assert.equal((await system.get(path)).body.status, 'paused');
  await system.post(`${path}/resume`, {});

  const { status, result } = await system.end(id);
  assert.equal(status, 'succeeded');
  assert.deepEqual(
    result.followed.map(({ message_id: message }: Body) => message),
    ['m1', 'm2'],
  );
  assert.deepEqual(documentsOf(result).slice(0, 2).toSorted(), ['docs/Oban.md', 'lighthouse.md']);
  assert.match(result.answer, /Followed on the way: "focus on the lighthouse", "look at Oban"\.$/);
  await person.until(({ kind }) => kind === 'end');
  const unsteered = (await system.end(other)).result;
  assert.ok(!documentsOf(unsteered).includes('lighthouse.md'));
  assert.doesNotMatch(unsteered.answer, /Followed/);

  const { document, rev } = (await system.get(`${path}/context`)).body;
  assert.ok(rev > 2);
  assert.deepEqual(document.words, ['ferry', 'lighthouse', 'oban']);
  assert.deepEqual([document.question, document.findings], ['ferry', result.findings.length]);
  assert.deepEqual(document.documents_read.toSorted(), result.documents_read.toSorted());
  await person.until(
    ({ kind, data }) => kind === 'step' && data.kind === 'self_correction' && data.data.message_id === 'm1',
  );
});

test('a research-agent that dies knows in its next attempt what it has said to follow', async (t) => {
  const port = String(await freePort());
  const env = { PORT: port, DOCUMENTS_ROOT: documentsRoot(t), HOLD_POLL_MS: '20' };
  const agent = await start(t, RESEARCH, env);
  const policy = { agent: { initialIntervalMs: 300, maximumIntervalMs: 300, maximumAttempts: 50 } };
  const system = await startSystem(t, { agentNodes: { 'research-agent': agent.url }, policy });
  const input = { question: 'ferry', max_documents: 1, demo: { step_ms: 100, crash_at: 'synthesise' } };
  const id = await submit(system, 'research-agent.deep_analysis', input);
  await system.running(id);
  const person = steer(t, system, id);
  await system.post(`/api/v1/executions/${id}/pause`);
  await system.post(`/api/v1/executions/${id}/messages`, { id: 'm1', text: 'lighthouse' });
  await person.until(receipt('steer.applied', 'm1'));
  await system.post(`/api/v1/executions/${id}/resume`);
  assert.equal(await agent.closed, 70);
  await start(t, RESEARCH, env);
  const { status, result } = await system.end(id);
  assert.equal(status, 'succeeded');
  assert.deepEqual([result.followed[0]?.message_id, documentsOf(result)], ['m1', ['lighthouse.md']]);
});

test('a research-agent that is asked to cancel leaves what it has found, long before its grace is over', async (t) => {
  const system = await systemWith(t, 'research-agent', RESEARCH, { DOCUMENTS_ROOT: documentsRoot(t) });
  const input = { question: 'ferry', max_documents: 6, demo: { step_ms: 400 } };
  const id = await submit(system, 'research-agent.deep_analysis', input);
  await system.running(id);
  const person = steer(t, system, id);
  await person.until(
    ({ kind, data }) => kind === 'step' && data.kind === 'tool_result' && data.name === 'read_document',
  );
  const cancelled = await system.post(`/api/v1/executions/${id}/cancel`, { reason: 'enough', grace_ms: 3_600_000 });
  assert.equal(cancelled.status, 202, cancelled.text);
  const { status, error, partial_result: partial } = await system.end(id);
  assert.deepEqual([status, error], ['cancelled', 'Execution cancelled: enough']);
  assert.ok(partial.findings.length >= 1 && partial.findings.length < 6, `${partial.findings.length} findings`);
  const { sequence } = await person.until(({ kind }) => kind === 'cancelling');
  await person.until((frame) => frame.kind === 'partial_result' && frame.sequence > sequence);
});

const decisions = [
  { how: 'approved', decide: { decision: 'approve', by: 'Grace' }, isTransferred: true },
  { how: 'rejected', decide: { decision: 'reject', by: 'Grace', reason: 'too much' }, isTransferred: false },
] as const;

for (const { how, decide, isTransferred } of decisions)
  test(`approval-agent asks before it acts: ${how}`, async (t) => {
    const system = await systemWith(t, 'approval-agent', APPROVAL);
    const id = await submit(system, 'approval-agent.transfer', { amount: 120, to: 'Ada' });
    const { waiting, turn } = await waitingFor(system, id, 1);
    assert.deepEqual([waiting.text, waiting.options, turn], ['Transfer 120 to Ada?', ['approve', 'reject'], 1]);
    const answered = await system.post(`/api/v1/executions/${id}/approval`, decide);
    assert.equal(answered.status, 200, answered.text);
    const { status, result, turn: last } = await system.end(id);
    assert.deepEqual([status, last, result.transferred], ['succeeded', 2, isTransferred]);
    assert.deepEqual([result.amount, result.decision, result.by], [120, decide.decision, 'Grace']);
    assert.equal(result.reference, isTransferred ? id : undefined);
  });

test('approval-agent does not act when nobody decides, and a mere message decides nothing', async (t) => {
  const system = await systemWith(t, 'approval-agent', APPROVAL);
  const expiring = await submit(system, 'approval-agent.transfer', { amount: 5, to: 'Ada', expires_in_ms: 100 });
  const { status, result } = await system.end(expiring);
  assert.equal(status, 'succeeded');
  assert.deepEqual([result.transferred, result.decision, result.is_default], [false, 'reject', true]);

  const id = await submit(system, 'approval-agent.transfer', { amount: 7, to: 'Ada' });
  await waitingFor(system, id, 1);
  await system.post(`/api/v1/executions/${id}/messages`, { text: 'what is it for?' });
  await waitingFor(system, id, 2);
  await system.post(`/api/v1/executions/${id}/approval`, { decision: 'approve' });
  const approved = await system.end(id);
  assert.deepEqual([approved.turn, approved.result.transferred], [3, true]);
});

/** Waits until an execution asks something in this turn. */
function waitingFor(system: System, id: string, turn: number): Promise<Body> {
  return until(system, id, (view) => view.status === 'waiting' && view.turn === turn);
}
