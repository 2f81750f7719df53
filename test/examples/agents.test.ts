import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { post, run, start, type Env } from './support.ts';

const HELLO = 'examples/hello-world.ts';
const DOCUMENTS = 'examples/doc-processor.py';
const RESEARCH = 'examples/research-agent.ts';
const APPROVAL = 'examples/approval-agent.ts';

type Json = Record<string, unknown>;

async function assertRefused(response: Response, status: number, text: RegExp): Promise<void> {
  assert.equal(response.status, status);
  assert.match(((await response.json()) as { error: string }).error, text);
}

async function runningIs(url: string, expected: number): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const { running } = (await (await fetch(`${url}/health`)).json()) as { running: number };
    if (running === expected) return;
    assert.ok(Date.now() < deadline, `still ${running} running instead of ${expected}`);
    await sleep(10);
  }
}

const cancel = async (url: string, id: string, notice: Json = {}): Promise<unknown> =>
  (await post(`${url}/_internal/executions/${id}/cancel`, notice)).json();

interface Callback {
  id: string;
  body: Json;
}

/** Plays Perdure's callback endpoint; `answer` may refuse with a status or 'hang up'. */
async function callbackServer(t: TestContext, answer: (callback: Callback) => number | 'hang up' = () => 200) {
  const received: Callback[] = [];
  const arrivals = new EventEmitter();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const id = /^\/api\/v1\/executions\/(\w+)\/status$/.exec(request.url ?? '')?.[1] ?? '?';
      const callback = { id, body: JSON.parse(Buffer.concat(chunks).toString()) as Json };
      received.push(callback);
      const status = answer(callback);
      if (status === 'hang up') request.socket.destroy();
      else response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
      arrivals.emit('callback');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    received,
    headers: (id: string, attempt = 1): Env => ({
      'x-execution-id': id,
      'perdure-attempt': String(attempt),
      'perdure-callback-url': `http://127.0.0.1:${port}/api/v1/executions/${id}/status`,
    }),
    /** Waits for the nth callback of an execution that has this status. */
    until: async (id: string, status: string, nth = 1): Promise<Json> => {
      const signal = AbortSignal.timeout(15_000);
      for (;;) {
        const found = received.filter((callback) => callback.id === id && callback.body['status'] === status)[nth - 1];
        if (found) return found.body;
        await once(arrivals, 'callback', { signal });
      }
    },
  };
}

/** A folder with documents of our own, so that the tests do not depend on what the project's say today. */
function documentsRoot(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'perdure-examples-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const root = join(folder, 'repo');
  mkdirSync(join(root, 'docs', 'guides'), { recursive: true });
  writeFileSync(join(folder, 'outside.txt'), 'The passphrase is swordfish.');
  writeFileSync(join(root, '.env'), 'PASSPHRASE=swordfish');
  symlinkSync(join(folder, 'outside.txt'), join(root, 'link.txt'));
  symlinkSync(folder, join(root, 'docs', 'up'));
  writeFileSync(join(root, 'binary.txt'), Buffer.from([0xff, 0xfe, 0x00, 0x80]));
  writeFileSync(join(root, 'large.txt'), 'x'.repeat(1024 * 1024 + 1));
  writeFileSync(
    join(root, 'README.md'),
    '# Harbour\n\nThe ferry to Inverness Bay leaves at noon. The ferry carries 240 people. Ferry tickets cost £12.50.\n',
  );
  writeFileSync(
    join(root, 'docs', 'guides', 'lighthouse.md'),
    '# Lighthouse\n\nKeepers tend it.\n\n## Delivery of oil\n\nOil is redelivered every week after a storm.\n\n```sh\n# not a heading\n```\n',
  );
  writeFileSync(join(root, 'docs', 'notes.txt'), 'The ferry is not mentioned in Markdown here.');
  return root;
}

const REPORT = `# Voyage

Captain Grace Hopper left Lisbon on 3 May 2024. The voyage took 12 days, and the ship carried 40 people.
The ship met storms, but the crew kept the ship on course. Dr. Hopper wrote to crew@ship.example about it.
The log is in logs/voyage.md and at https://ship.example/log.
`;

async function framesOf(response: Response): Promise<Json[]> {
  const lines = (await response.text()).trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Json);
}

/** The result of a research call, once the stream has been read to its end. */
function resultOf(frames: Json[]) {
  const last = frames.at(-1);
  assert.equal(last?.['type'], 'result');
  return last?.['result'] as { answer: string; queries: string[]; findings: Record<string, string>[] };
}

const agents = [
  { file: HELLO, path: '/reasoners/greet', input: { name: 'Ada' }, step: 'greet' },
  { file: DOCUMENTS, path: '/reasoners/analyze', input: { text: REPORT }, step: 'keywords' },
  { file: RESEARCH, path: '/reasoners/deep_analysis', input: { topic: 'ferry' }, step: 'read' },
  { file: APPROVAL, path: '/reasoners/transfer', input: { amount: 120, to: 'Ada' }, step: 'ask' },
] as const;

for (const { file, path, input, step } of agents) {
  test(`${file}: says how to use it, refuses a bad PORT in one line and ends cleanly on SIGTERM`, async (t) => {
    const help = run(t, file, {}, ['--help']);
    assert.equal(await help.closed, 0);
    assert.match(help.output.stdout, new RegExp(`Steps: .*${step}`));
    assert.match(help.output.stdout, /crash_at/);

    const refused = run(t, file, { PORT: 'http' });
    assert.notEqual(await refused.closed, 0);
    assert.equal(refused.output.stderr, "PORT must be a whole number from 0 to 65535, not 'http'\n");

    const agent = await start(t, file);
    const health = (await (await fetch(`${agent.url}/health`)).json()) as Json;
    assert.equal(health['status'], 'ok');
    assert.equal(health['node'], file.replace(/^examples\/|\.\w+$/g, ''));
    agent.child.kill('SIGTERM');
    assert.equal(await agent.closed, 0);
  });

  test(`${file}: refuses what it does not understand with a clear 4xx`, async (t) => {
    const callbacks = await callbackServer(t);
    const { url } = await start(t, file);
    const headers = callbacks.headers('exec_1');
    await assertRefused(await post(`${url}/reasoners/none`, {}, headers), 404, /none/);
    await assertRefused(await fetch(`${url}/secrets`), 404, /secrets/);
    await assertRefused(await post(`${url}${path}`, '{"name":', headers), 400, /not JSON/);
    await assertRefused(await post(`${url}${path}`, [1], headers), 400, /object/);
    await assertRefused(await post(`${url}${path}`, ' '.repeat(5 * 1024 * 1024), headers), 413, /larger/);
    const withDemo = (demo: unknown) => post(`${url}${path}`, { ...input, demo }, headers);
    await assertRefused(await withDemo(3), 422, /demo/);
    await assertRefused(await withDemo({ step_ms: -1 }), 422, /step_ms/);
    await assertRefused(await withDemo({ fail_status: 200 }), 422, /fail_status/);
    await assertRefused(await withDemo({ crash_at: 'tea' }), 422, new RegExp(`crash_at.*${step}`));
    assert.deepEqual(callbacks.received, []);
  });

  test(`${file}: dies with 70 on the first attempt only, unless told to crash always`, async (t) => {
    const callbacks = await callbackServer(t);
    const env = { DOCUMENTS_ROOT: documentsRoot(t) };
    const call = async (url: string, attempt: number, demo: Json): Promise<Response> => {
      const response = await post(`${url}${path}`, { ...input, demo }, callbacks.headers('exec_1', attempt));
      // A stream that breaks off breaks here, not in the fetch.
      const text = await response.text();
      return new Response(text, { status: response.status });
    };
    const crash = { crash_at: step };
    for (const [attempt, demo] of [
      [1, crash],
      [2, { ...crash, crash_always: true }],
    ] as const) {
      const agent = await start(t, file, env);
      const answered = call(agent.url, attempt, demo).then(
        ({ status }) => status,
        () => 'broken off',
      );
      assert.equal(await agent.closed, 70);
      assert.equal(await answered, file === DOCUMENTS ? 202 : 'broken off');
    }
    assert.ok(!callbacks.received.some(({ body }) => body['status'] !== 'running'));

    const second = await start(t, file, env);
    const response = await call(second.url, 2, crash);
    assert.equal(response.status, file === DOCUMENTS ? 202 : 200);
    if (file === DOCUMENTS) await callbacks.until('exec_1', 'succeeded');
    if (file === RESEARCH) resultOf(await framesOf(response));
  });
}

test('hello-world greets, in several languages, and checks its input', async (t) => {
  const { url } = await start(t, HELLO);
  const greet = (input: unknown) => post(`${url}/reasoners/greet`, input);
  assert.deepEqual(await (await greet({})).json(), { message: 'Hello, world!', name: 'world', language: 'en' });
  const french = (await (await greet({ name: ' Zoë ', language: 'fr' })).json()) as Json;
  assert.equal(french['message'], 'Bonjour, Zoë !');
  await assertRefused(await greet({ name: 7 }), 422, /name/);
  await assertRefused(await greet({ name: ' ' }), 422, /name/);
  await assertRefused(await greet({ language: 'tlh' }), 422, /language.*en/);
  await assertRefused(await greet({ language: 'constructor' }), 422, /language/);
});

test('hello-world fails with the status asked for, takes its time, and stops when cancelled', async (t) => {
  const { url } = await start(t, HELLO);
  const greet = (demo: Json, headers: Env = {}) => post(`${url}/reasoners/greet`, { demo }, headers);
  await assertRefused(await greet({ fail_at: 'greet' }), 422, /'greet' failed/);
  await assertRefused(await greet({ fail_at: 'check', fail_status: 503 }), 503, /'check' failed/);
  const startedAt = performance.now();
  assert.equal((await greet({ step_ms: 100 })).status, 200);
  assert.ok(performance.now() - startedAt >= 195);

  const slow = greet({ step_ms: 600_000 }, { 'x-execution-id': 'exec_slow' });
  await runningIs(url, 1);
  assert.deepEqual(await cancel(url, 'exec_other'), { cancelled: false });
  assert.deepEqual(await cancel(url, 'exec_slow'), { cancelled: true });
  await assertRefused(await slow, 409, /cancelled/);
  assert.deepEqual(await cancel(url, 'exec_slow'), { cancelled: false });
});

test('research-agent streams its steps as JSON lines and answers from the documents', async (t) => {
  const { url } = await start(t, RESEARCH, { DOCUMENTS_ROOT: documentsRoot(t) });
  const response = await post(`${url}/reasoners/deep_analysis`, { question: 'When does the ferry leave?' });
  assert.equal(response.headers.get('content-type'), 'application/x-ndjson');
  const frames = await framesOf(response);
  const percents = frames.filter(({ type }) => type === 'progress').map((frame) => Number(frame['progress_pct']));
  assert.deepEqual(
    percents,
    percents.toSorted((a, b) => a - b),
  );
  const kinds = frames.filter(({ type }) => type === 'step').map(({ kind }) => kind);
  for (const kind of ['thought', 'tool_call', 'tool_result', 'message']) assert.ok(kinds.includes(kind), kind);
  const { findings, answer } = resultOf(frames);
  assert.deepEqual(
    findings.map(({ document, heading }) => ({ document, heading })),
    [{ document: 'README.md', heading: 'Harbour' }],
  );
  assert.match(answer, /The ferry to Inverness Bay leaves at noon\..*\[README\.md: Harbour\]/);
});

test('research-agent sends server-sent events to a caller that prefers them', async (t) => {
  const { url } = await start(t, RESEARCH, { DOCUMENTS_ROOT: documentsRoot(t) });
  const asked = async (accept: string) => {
    const response = await post(`${url}/reasoners/deep_analysis`, { topic: 'ferry' }, { accept });
    return { type: response.headers.get('content-type'), text: await response.text() };
  };
  const { type, text } = await asked('application/x-ndjson;q=0.5, text/event-stream');
  assert.equal(type, 'text/event-stream');
  const blocks = text.split('\n\n').filter((block) => block !== '');
  for (const block of blocks) {
    const [, event, data] = /^event: ([\w.]+)\ndata: (.*)$/.exec(block) ?? [];
    assert.equal((JSON.parse(data ?? '') as Json)['type'], event);
  }
  assert.match(blocks.at(-1) ?? '', /^event: result\n/);
  for (const accept of ['*/*', 'text/event-stream;q=0.1, application/x-ndjson', 'text/event-stream;q=0']) {
    assert.equal((await asked(accept)).type, 'application/x-ndjson', accept);
  }
});

test('research-agent corrects a query that finds little, and says so when there is nothing', async (t) => {
  const { url } = await start(t, RESEARCH, { DOCUMENTS_ROOT: documentsRoot(t) });
  const ask = async (topic: string) => framesOf(await post(`${url}/reasoners/deep_analysis`, { topic }));
  const frames = await ask('ligthhouse callbacks');
  assert.ok(frames.some(({ kind }) => kind === 'self_correction'));
  const { queries, findings } = resultOf(frames);
  assert.equal(queries.length, 2);
  assert.match(queries[1] ?? '', /lighthous/);
  assert.equal(findings[0]?.['document'], 'docs/guides/lighthouse.md');

  const nothing = resultOf(await ask('photosynthesis'));
  assert.deepEqual(nothing.findings, []);
  assert.match(nothing.answer, /nothing about "photosynthesis"/);
});

test("research-agent finds its way through this repository's own documents, few or many", async (t) => {
  const { url } = await start(t, RESEARCH, { DOCUMENTS_ROOT: '' });
  const frames = await framesOf(await post(`${url}/reasoners/deep_analysis`, { topic: 'webhook signatures' }));
  for (const { document } of resultOf(frames).findings) assert.match(document ?? '', /^[\w./-]+\.md$/);
});

test('research-agent refuses bad input before the stream begins and reports a failure inside it', async (t) => {
  const { url } = await start(t, RESEARCH, { DOCUMENTS_ROOT: documentsRoot(t) });
  const ask = (input: Json) => post(`${url}/reasoners/deep_analysis`, input);
  await assertRefused(await ask({}), 422, /question/);
  await assertRefused(await ask({ topic: 'ferry', max_documents: 0 }), 422, /max_documents/);
  for (const [status, retryable] of [
    [422, false],
    [503, true],
  ] as const) {
    const frames = await framesOf(await ask({ topic: 'ferry', demo: { fail_at: 'search', fail_status: status } }));
    const last = frames.at(-1);
    assert.deepEqual([last?.['type'], last?.['retryable']], ['error', retryable]);
    assert.match(String(last?.['error']), /'search' failed/);
  }
});

test('research-agent stops when it is cancelled and when the caller hangs up', async (t) => {
  const { url } = await start(t, RESEARCH, { DOCUMENTS_ROOT: documentsRoot(t) });
  const slow = { topic: 'ferry', demo: { step_ms: 600_000 } };
  const cancelled = await post(`${url}/reasoners/deep_analysis`, slow, { 'x-execution-id': 'exec_1' });
  assert.deepEqual(await cancel(url, 'exec_1'), { cancelled: true });
  const last = (await framesOf(cancelled)).at(-1);
  assert.deepEqual([last?.['type'], last?.['retryable']], ['error', false]);

  const controller = new AbortController();
  await post(`${url}/reasoners/deep_analysis`, slow, {}, controller.signal);
  await runningIs(url, 1);
  controller.abort();
  await runningIs(url, 0);
});

test('doc-processor acknowledges, reports progress and then what is in the text', async (t) => {
  const callbacks = await callbackServer(t);
  const { url } = await start(t, DOCUMENTS);
  const response = await post(`${url}/reasoners/analyze`, { text: REPORT }, callbacks.headers('exec_1'));
  assert.equal(response.status, 202);
  const { result } = (await callbacks.until('exec_1', 'succeeded')) as { result: Record<string, never> };
  const progress = callbacks.received.filter(({ body }) => body['status'] === 'running').map(({ body }) => body);
  assert.deepEqual(
    progress.map((body) => body['progress_pct']),
    [0, 20, 40, 60, 80],
  );
  assert.match(String(progress[2]?.['current_action']), /Counting \d+ words/);
  assert.ok(Date.parse(String(progress[2]?.['estimated_completion'])) > 0);
  const { title, summary, keywords, entities, statistics } = result as unknown as {
    title: string;
    summary: string[];
    keywords: { word: string; count: number }[];
    entities: Record<string, { text: string }[]>;
    statistics: Record<string, number>;
  };
  assert.equal(title, 'Voyage');
  assert.deepEqual(keywords[0], { word: 'ship', count: 3 });
  const found = (kind: string) => entities[kind]?.map(({ text }) => text) ?? [];
  assert.ok(found('names').includes('Captain Grace Hopper') && found('names').includes('Lisbon'));
  assert.deepEqual(found('dates'), ['3 May 2024']);
  assert.deepEqual(found('quantities'), ['12 days', '40 people']);
  assert.deepEqual(found('emails'), ['crew@ship.example']);
  assert.deepEqual(found('urls'), ['https://ship.example/log']);
  assert.deepEqual(found('files'), ['logs/voyage.md']);
  assert.equal(statistics['sentences'], 5);
  assert.ok(summary.length > 0 && summary.every((sentence) => REPORT.replaceAll('\n', ' ').includes(sentence)));
});

test('doc-processor reads files of the repository', async (t) => {
  const callbacks = await callbackServer(t);
  const { url } = await start(t, DOCUMENTS, { DOCUMENTS_ROOT: '' });
  await post(`${url}/reasoners/analyze`, { file: HELLO }, callbacks.headers('exec_1'));
  const { result } = (await callbacks.until('exec_1', 'succeeded')) as { result: Json };
  assert.equal(result['source'], HELLO);
});

test('doc-processor reads nothing outside the repository, nothing hidden, and only texts', async (t) => {
  const callbacks = await callbackServer(t);
  const root = documentsRoot(t);
  const { url } = await start(t, DOCUMENTS, { DOCUMENTS_ROOT: root });
  const analyze = (input: Json) => post(`${url}/reasoners/analyze`, input, callbacks.headers('exec_1'));
  const outside = ['../outside.txt', 'docs/../../outside.txt', 'link.txt', 'docs/up/outside.txt', '/etc/hostname'];
  for (const file of [...outside, join(root, 'README.md'), '.env', 'docs/../.env', 'a\0b', '.']) {
    assert.ok([400, 422].includes((await analyze({ file })).status), file);
    if (file !== '.') await assertRefused(await analyze({ file }), 400, /^file (must be inside|is not a usable)/);
  }
  await assertRefused(await analyze({ file: 'none.txt' }), 422, /no such file: none\.txt/);
  await assertRefused(await analyze({ file: 'docs' }), 422, /no such file/);
  await assertRefused(await analyze({ file: 'large.txt' }), 422, /larger/);
  await assertRefused(await analyze({ file: 3 }), 422, /path/);
  await assertRefused(await analyze({ text: 'x'.repeat(1024 * 1024 + 1) }), 422, /larger/);
  await assertRefused(await analyze({}), 422, /text or file/);
  await assertRefused(await analyze({ text: 'a', file: 'README.md' }), 422, /text or file/);
  assert.deepEqual(callbacks.received, []);

  assert.equal((await analyze({ file: 'binary.txt' })).status, 202);
  const { error } = await callbacks.until('exec_1', 'failed');
  assert.match(String(error), /binary\.txt is not a readable UTF-8 text/);
});

test('doc-processor does not accept work it could not report on', async (t) => {
  const callbacks = await callbackServer(t);
  const { url } = await start(t, DOCUMENTS);
  const headers = callbacks.headers('exec_1');
  const analyze = (changed: Env) => post(`${url}/reasoners/analyze`, { text: REPORT }, { ...headers, ...changed });
  await assertRefused(await analyze({ 'x-execution-id': '' }), 400, /X-Execution-ID/);
  await assertRefused(await analyze({ 'perdure-callback-url': '' }), 400, /Perdure-Callback-URL/);
  await assertRefused(await analyze({ 'perdure-callback-url': 'file:///etc/hostname' }), 400, /http/);
});

test('doc-processor reports a failure by callback, or at once before it has acknowledged', async (t) => {
  const callbacks = await callbackServer(t);
  const { url } = await start(t, DOCUMENTS);
  const analyze = (id: string, demo: Json) =>
    post(`${url}/reasoners/analyze`, { text: REPORT, demo }, callbacks.headers(id));
  assert.equal((await analyze('exec_1', { fail_at: 'entities', fail_status: 500 })).status, 202);
  assert.deepEqual(await callbacks.until('exec_1', 'failed'), {
    status: 'failed',
    error: "step 'entities' failed, as demo.fail_at asked",
    error_details: { step: 'entities', status: 500 },
  });
  await assertRefused(await analyze('exec_2', { fail_at: 'accept', fail_status: 503 }), 503, /'accept' failed/);
  assert.ok(!callbacks.received.some(({ id }) => id === 'exec_2'));
});

test('doc-processor does not start an execution twice, and sends a remembered result again', async (t) => {
  const callbacks = await callbackServer(t);
  const { url } = await start(t, DOCUMENTS);
  const input = { text: REPORT, demo: { step_ms: 60 } };
  const deliver = async (attempt: number) =>
    (await post(`${url}/reasoners/analyze`, input, callbacks.headers('exec_1', attempt))).status;
  assert.equal(await deliver(1), 202);
  await callbacks.until('exec_1', 'running', 2);
  assert.deepEqual(await Promise.all([deliver(2), deliver(3)]), [202, 202]);
  const result = await callbacks.until('exec_1', 'succeeded');
  await runningIs(url, 0);
  const running = () => callbacks.received.filter(({ body }) => body['status'] === 'running').length;
  assert.equal(running(), 5);

  // The answer to the first report may still be on its way; until then a delivery is only acknowledged.
  while (callbacks.received.filter(({ body }) => body['status'] === 'succeeded').length < 2) {
    assert.equal(await deliver(4), 202);
    await sleep(20);
  }
  assert.deepEqual(await callbacks.until('exec_1', 'succeeded', 2), result);
  assert.equal(running(), 5);
});

test('doc-processor sends nothing more after a cancel', async (t) => {
  const callbacks = await callbackServer(t);
  const { url } = await start(t, DOCUMENTS);
  const input = { text: REPORT, demo: { step_ms: 600_000 } };
  const deliver = () => post(`${url}/reasoners/analyze`, input, callbacks.headers('exec_1'));
  await deliver();
  await callbacks.until('exec_1', 'running');
  assert.deepEqual(await cancel(url, 'exec_other'), { cancelled: false });
  assert.deepEqual(await cancel(url, 'exec_1'), { cancelled: true });
  await runningIs(url, 0);
  await assertRefused(await deliver(), 409, /cancelled/);
  // Another execution from start to end is time enough for a stray callback of the first.
  await post(`${url}/reasoners/analyze`, { text: REPORT }, callbacks.headers('exec_2'));
  await callbacks.until('exec_2', 'succeeded');
  assert.equal(callbacks.received.filter(({ id }) => id === 'exec_1').length, 1);
});

test('doc-processor that is given a grace says at once that it has stopped', async (t) => {
  const callbacks = await callbackServer(t);
  const { url } = await start(t, DOCUMENTS);
  const input = { text: REPORT, demo: { step_ms: 600_000 } };
  await post(`${url}/reasoners/analyze`, input, callbacks.headers('exec_1'));
  await callbacks.until('exec_1', 'running');
  assert.deepEqual(await cancel(url, 'exec_1', { reason: 'enough', grace_ms: 10_000 }), { cancelled: true });
  assert.equal((await callbacks.until('exec_1', 'cancelled'))['error'], 'stopped as asked: enough');
});

test('doc-processor repeats a result that was not taken, and stops when told that nobody wants it', async (t) => {
  const refusals = [503, 'hang up', 429] as const;
  let refused = 0;
  const callbacks = await callbackServer(t, ({ id, body }) => {
    if (id === 'exec_gone') return 409;
    return body['status'] === 'succeeded' ? (refusals[refused++] ?? 200) : 200;
  });
  const { url } = await start(t, DOCUMENTS);
  const input = { text: REPORT, demo: { step_ms: 10 } };
  await post(`${url}/reasoners/analyze`, input, callbacks.headers('exec_gone'));
  await post(`${url}/reasoners/analyze`, input, callbacks.headers('exec_1'));
  await callbacks.until('exec_1', 'succeeded', 4);
  assert.equal(callbacks.received.filter(({ id }) => id === 'exec_gone').length, 1);
});

test('doc-processor finishes what it has accepted before it ends on SIGTERM', async (t) => {
  const callbacks = await callbackServer(t);
  const agent = await start(t, DOCUMENTS);
  const input = { text: REPORT, demo: { step_ms: 300 } };
  await post(`${agent.url}/reasoners/analyze`, input, callbacks.headers('exec_1'));
  await callbacks.until('exec_1', 'running');
  agent.child.kill('SIGTERM');
  await callbacks.until('exec_1', 'succeeded');
  assert.equal(await agent.closed, 0);
});
