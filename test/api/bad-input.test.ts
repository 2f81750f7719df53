// oxlint-disable max-lines -- one list of what must be refused, on one shared system
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { acceptingAgent } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer, sendJson } from '../support/http-server.ts';
import type { TestServer } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Answered, Body, System } from '../support/system.ts';

const shared = sharedContext();
let agent: TestServer;
let slow: AcceptingAgent;
let system: System;
before(async () => {
  agent = await httpServer(shared, (_request, response) => sendJson(response, 200, {}));
  slow = await acceptingAgent(shared);
  system = await startSystem(shared, {
    agentNodes: { a: agent.url, b: { url: agent.url, reasoners: ['think'], skills: ['add'] }, slow: slow.url },
  });
});
after(shared.close);

const SYNC = '/api/v1/execute/a.x';
const UNKNOWN_ID = `exec_${'0'.repeat(32)}`;
const CANARY = 'canary-5f2c9e';
/** All requests of this file that must be refused belong to this run: at the end it must be empty. */
const REFUSED_RUN = `run_refused_${randomUUID()}`;
const refusedRun = { 'X-Run-ID': REFUSED_RUN };

/** Every refusal has the same shape, is short, and never repeats what may be secret. */
function assertProblem({ status, headers, body, text }: Answered, wantedStatus: number, code: string): void {
  assert.equal(status, wantedStatus, text.slice(0, 500));
  assert.match(headers.get('Content-Type') ?? '', /^application\/problem\+json/);
  assert.equal(body.code, code);
  assert.equal(body.status, wantedStatus);
  assert.ok(typeof body.detail === 'string' && body.detail !== '' && typeof body.title === 'string');
  assert.equal(body.error, body.detail, "AgentField's name for the same text");
  assert.equal(body.request_id, headers.get('X-Request-ID'));
  assert.ok(body.request_id);
  assert.ok(text.length < 8_000, `a refusal of ${text.length} characters`);
  assert.ok(!text.includes(CANARY), 'a refusal does not repeat the value');
}

/** Posts what must be a 400 and gives the flaws, as `path: message`. */
async function flaws(body: unknown, path = SYNC): Promise<string[]> {
  const answer = await system.post(path, body, refusedRun);
  assertProblem(answer, 400, 'invalid_request');
  return (answer.body.errors as { path: string; message: string }[]).map((flaw) => `${flaw.path}: ${flaw.message}`);
}

const withWebhook = (webhook: unknown) => flaws({ webhook });
const withHeaders = (headers: unknown) => withWebhook({ url: 'http://127.0.0.1:9/', headers });

/** Sends bytes as they are and gives the answer's head and body, even when the server hangs up on the rest. */
function raw(...parts: (string | Buffer)[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(Number(new URL(system.url).port), '127.0.0.1', () => {
      for (const part of parts) socket.write(part);
    });
    const timer = setTimeout(() => socket.destroy(new Error(`no end of the answer: ${answer.slice(0, 200)}`)), 20_000);
    socket.on('data', (data: Buffer) => {
      answer += data.toString('latin1');
      const [head = '', body = ''] = answer.split('\r\n\r\n', 2);
      const length = /^content-length: (\d+)$/im.exec(head)?.[1];
      if (/^HTTP\/1.1 [2-5]/.test(head) && length !== undefined && body.length >= Number(length)) socket.destroy();
    });
    socket.on('error', (err) => answer === '' && reject(err));
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(answer);
    });
  });
}

function assertRawProblem(answer: string, status: number, code: string): void {
  const [head = '', body = ''] = answer.split('\r\n\r\n', 2);
  assert.match(head, new RegExp(`^HTTP/1.1 ${status} `), answer.slice(0, 300));
  assert.match(head, /^content-type: application\/problem\+json/im);
  const problem = JSON.parse(body) as Body;
  assert.equal(problem.code, code);
  assert.equal(/^x-request-id: (\S+)/im.exec(head)?.[1], problem.request_id);
}

test('a body that is not JSON is refused without being quoted', async () => {
  for (const body of [
    '{',
    '{"input":}',
    `{"webhook":{"secret":"${CANARY}"`,
    'input=1',
    '<xml/>',
    '{"a":1}{"b":2}',
    "{'a':1}",
    '[1,]',
    'NaN',
    '\u0000',
  ])
    assertProblem(await system.post(SYNC, body, refusedRun), 400, 'malformed_json');
  const batch = await system.post('/api/v1/executions/batch-status', '');
  assertProblem(batch, 400, 'malformed_json');
  assert.match(batch.body.detail, /empty/);
});

test('a body that is not UTF-8 is refused', async () => {
  for (const bytes of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80]]) {
    const body = Buffer.concat([Buffer.from('{"input":{"a":"'), Buffer.from(bytes), Buffer.from('"}}')]);
    const response = await fetch(system.url + SYNC, { method: 'POST', body, headers: refusedRun });
    const text = await response.text();
    assertProblem(
      { status: response.status, headers: response.headers, text, body: JSON.parse(text) },
      400,
      'malformed_json',
    );
  }
});

test('an empty body, {} and any Content-Type are taken', async () => {
  for (const [body, headers] of [
    ['', {}],
    [' \n', {}],
    ['{}', { 'content-type': 'text/plain' }],
    ['{"input":{}}', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['\ufeff{}', {}],
  ] as const)
    assert.equal((await system.post(SYNC, body, headers)).status, 200, JSON.stringify([body, headers]));
});

test('wrong types are named with the path of each, all of them at once', async () => {
  for (const body of ['[]', '"text"', '5', 'null', 'true']) assert.match((await flaws(body)).join(), /^\$: .*object/);
  const many = await flaws({
    input: [],
    webhook: { url: 5, secret: { s: CANARY }, headers: { 'x-a': [CANARY] } },
    timeout_ms: '5',
    context: CANARY,
  });
  const paths = many.map((flaw) => flaw.split(': ')[0] ?? '').toSorted();
  assert.deepEqual(paths, [
    '$.context',
    '$.input',
    '$.timeout_ms',
    '$.webhook.headers.x-a',
    '$.webhook.secret',
    '$.webhook.url',
  ]);
  for (const input of [[], 'text', 5, null, true])
    assert.match((await flaws({ input })).join(), /^\$\.input: .*expected record/);
  for (const timeout_ms of [0, -1, 1.5, 1e300, '1', null, 30 * 24 * 3_600_000 + 1])
    assert.match((await flaws({ timeout_ms })).join(), /^\$\.timeout_ms: /);
  assert.match(
    (await flaws({ execution_ids: 'exec_1' }, '/api/v1/executions/batch-status')).join(),
    /^\$\.execution_ids: /,
  );
  assert.match(
    (await flaws({ execution_ids: [1] }, '/api/v1/executions/batch-status')).join(),
    /^\$\.execution_ids\[0\]: /,
  );
  assert.match((await flaws({}, '/api/v1/executions/batch-status')).join(), /^\$\.execution_ids: /);
  assert.match((await flaws({ reason: 5 }, `/api/v1/executions/${UNKNOWN_ID}/cancel`)).join(), /^\$\.reason: /);
});

test('a misspelt field is refused with the nearest known name, a strange one without a guess', async () => {
  assert.deepEqual(await flaws({ inputs: {} }), ['$.inputs: unknown field, did you mean "input"?']);
  assert.deepEqual(await flaws({ Webhook: {} }), ['$.Webhook: unknown field, did you mean "webhook"?']);
  assert.deepEqual(await flaws({ timeout: 5 }), ['$.timeout: unknown field, did you mean "timeout_ms"?']);
  assert.deepEqual(await flaws({ something: 5 }), ['$.something: unknown field']);
  assert.deepEqual(await withWebhook({ url: 'http://127.0.0.1:9/', secrets: CANARY }), [
    '$.webhook.secrets: unknown field',
  ]);
  assert.deepEqual(await flaws({ ids: [] }, '/api/v1/executions/batch-status'), [
    '$.execution_ids: Invalid input: expected array, received undefined',
    '$.ids: unknown field',
  ]);
});

test("AgentField's own extra fields are taken, and so is whatever else an agent says", async () => {
  const body = { input: {}, context: { model_provider: 'x' }, run_metadata: { display_name: 'y', labels: ['z'] } };
  assert.equal((await system.post(SYNC, body)).status, 200);
  const { execution_id: id } = (await system.post('/api/v1/execute/async/slow.work', {})).body;
  const progress = {
    status: 'running',
    reasoner: 'x',
    duration_ms: 'soon',
    usage: [1],
    progress: 'half',
    current_action: 7,
  };
  assert.equal((await slow.report(id, progress)).status, 200);
  const final = {
    status: ' Completed ',
    result: [1],
    execution_id: 'other',
    run_id: null,
    error_details: {},
    unknown: { x: 1 },
  };
  assert.equal((await slow.report(id, final)).status, 200);
  assert.deepEqual((await system.end(id)).result, [1]);
});

test('an agent that reports nonsense is told, and its execution goes on', async () => {
  const { execution_id: id } = (await system.post('/api/v1/execute/async/slow.work', {})).body;
  const path = `/api/v1/executions/${id}/status`;
  for (const body of [
    {},
    [],
    'ok',
    { status: 5 },
    { status: '' },
    { status: 'exploded' },
    { status: '__proto__' },
    { status: 'constructor' },
  ])
    assertProblem(await system.post(path, JSON.stringify(body)), 400, 'invalid_request');
  assertProblem(await system.post(path, '{"status"'), 400, 'malformed_json');
  assertProblem(
    await system.post(`/api/v1/executions/${UNKNOWN_ID}/status`, { status: 'ok' }),
    404,
    'execution_not_found',
  );
  assert.equal(
    (await slow.report(id, { status: 'ok', result: '\ud800\0' })).status,
    200,
    'texts of an agent are its own',
  );
  assert.equal((await system.end(id)).result, '\ud800\0');
});

for (const [what, error] of [
  ['a NUL', 'NUL \0'],
  ['a lone surrogate', 'lone \ud800 surrogate'],
  ['an emoji where the text is cut', `${'x'.repeat(4095)}😀 and more`],
] as const)
  test(`an execution ends, and its worker lives on, with ${what} in the error of its agent`, async (t) => {
    const own = await startSystem(t, { agentNodes: { slow: slow.url, a: agent.url } });
    const { execution_id: id } = (await own.post('/api/v1/execute/async/slow.work', {})).body;
    assert.equal((await slow.report(id, { status: 'failed', error })).status, 200);
    assert.equal(await closeOf(own, id), 'WorkflowFailedError');
    assert.equal((await own.post('/api/v1/execute/a.x', {})).status, 200);
  });

test('an execution ends, and its worker lives on, with a lone surrogate in the error frame of a stream', async (t) => {
  const streaming = await httpServer(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.end('{"type":"error","error":"lone \\ud800 surrogate"}\n');
  });
  const own = await startSystem(t, { agentNodes: { streaming: streaming.url, a: agent.url } });
  const { execution_id: id } = (await own.post('/api/v1/execute/async/streaming.x', {})).body;
  assert.equal(await closeOf(own, id), 'WorkflowFailedError');
  assert.equal((await own.post('/api/v1/execute/a.x', {})).status, 200);
});

/** How the workflow ended, as the name of its error; it has some seconds. */
function closeOf(own: System, id: string): Promise<string> {
  const handle = own.client.workflow.getHandle(id);
  const closed = handle.result().then(
    () => 'result',
    (err: Error) => err.name,
  );
  return Promise.race([closed, sleep(10_000, 'still open', { ref: false })]);
}

test('a target is node.name: bad syntax is 400, an unknown one is 404 with the names there are', async () => {
  for (const target of [
    'a',
    'a.',
    '.x',
    'a.x.y',
    'a b.x',
    'a.x%00',
    'a.%C3%A9',
    `a.${'x'.repeat(129)}`,
    '%2e%2e.x',
    'a.x%2Fy',
    '%',
  ])
    for (const path of ['/api/v1/execute/', '/api/v1/execute/async/']) {
      const answer = await system.post(path + target, {}, refusedRun);
      assertProblem(answer, 400, 'invalid_target');
      assert.match(answer.body.error, /target must be in format 'node_id.reasoner_name'/);
    }
  const node = await system.post('/api/v1/execute/nope.x', {}, refusedRun);
  assertProblem(node, 404, 'target_not_found');
  assert.match(node.body.error, /agent 'nope' not found; agent nodes: a, b, slow/);
  const target = await system.post('/api/v1/execute/async/b.x', {}, refusedRun);
  assertProblem(target, 404, 'target_not_found');
  assert.match(target.body.error, /target 'x' not found on agent 'b'; it has: think, add/);
  for (const name of ['__proto__', 'constructor', 'toString'])
    assertProblem(await system.post(`/api/v1/execute/${name}.x`, {}, refusedRun), 404, 'target_not_found');
});

test('a body over 1 MiB is 413 on every route, announced or in chunks, sent or not, and the server goes on', async () => {
  const routes = [
    SYNC,
    '/api/v1/execute/async/a.x',
    '/api/v1/executions/batch-status',
    `/api/v1/executions/${UNKNOWN_ID}/cancel`,
    `/api/v1/executions/${UNKNOWN_ID}/webhook/redeliver`,
  ];
  const big = Buffer.alloc(1024 * 1024 + 1, ' ');
  const headOf = (path: string, length: string) =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\nX-Run-ID: ${REFUSED_RUN}\r\n${length}\r\n\r\n`;
  for (const path of routes) {
    assertRawProblem(await raw(headOf(path, `Content-Length: ${big.length}`), big), 413, 'body_too_large');
    assertRawProblem(await raw(headOf(path, 'Content-Length: 99999999999')), 413, 'body_too_large');
    const chunk = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(0x10000, ' '), Buffer.from('\r\n')]);
    assertRawProblem(
      await raw(headOf(path, 'Transfer-Encoding: chunked'), ...Array<Buffer>(17).fill(chunk)),
      413,
      'body_too_large',
    );
    assert.match(await raw('GET /health HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1.1 200 /);
  }
  const { execution_id: id } = (await system.post('/api/v1/execute/async/slow.work', {})).body;
  const large = { status: 'ok', result: 'x'.repeat(1024 * 1024) };
  assertProblem(await system.post(`/api/v1/executions/${id}/status`, large), 413, 'result_too_large');
  assert.match((await system.end(id)).error, /result is larger than the limit of 1048576 bytes/);
});

test('a client that sends and sends still reads its 413, and a body of exactly 1 MiB is taken', async () => {
  const [status, text] = await new Promise<[number | undefined, string]>((resolve, reject) => {
    const request = httpRequest(system.url + SYNC, { method: 'POST', headers: refusedRun }, (response) => {
      let body = '';
      response.on('data', (data: Buffer) => (body += data.toString()));
      response.on('end', () => {
        resolve([response.statusCode, body]);
        request.destroy();
      });
      response.on('error', reject);
    });
    request.on('error', reject);
    const chunk = Buffer.alloc(64 * 1024, ' ');
    const push = () => {
      while (!request.destroyed && request.write(chunk));
    };
    request.on('drain', push);
    push();
  });
  assert.equal(status, 413);
  assert.equal((JSON.parse(text) as Body).code, 'body_too_large');
  const exact = '{}'.padEnd(1024 * 1024, ' ');
  assert.equal((await system.post(SYNC, exact)).status, 200);
});

test('depth bombs, __proto__, NUL and lone surrogates are refused with their path', async () => {
  const nested = (depth: number, open: string, close: string) =>
    `{"input":${open.repeat(depth)}1${close.repeat(depth)}}`;
  for (const depth of [101, 5_000, 170_000]) {
    assert.match((await flaws(nested(depth, '{"a":', '}'))).join(), /^\$\.input\.a\.a.*: nested too deeply$/);
    assert.match(
      (await flaws(`{"input":{"x":${'['.repeat(depth)}${']'.repeat(depth)}}}`)).join(),
      /^\$\.input\.x\[0\].*: nested too deeply$/,
    );
  }
  assert.match((await flaws('['.repeat(500_000) + ']'.repeat(500_000))).join(), /nested too deeply$/);
  assert.equal((await system.post(SYNC, nested(98, '{"a":', '}'))).status, 200, 'honest nesting is fine');
  const input = (text: string) => flaws(`{"input":{"list":[1,${text}]}}`);
  assert.deepEqual(await input('{"__proto__":{"isAdmin":true}}'), ['$.input.list[1]: key "__proto__"']);
  assert.deepEqual(await input('{"\\u005f_proto__":1}'), ['$.input.list[1]: key "__proto__"']);
  assert.deepEqual(await input('"x\\u0000"'), ['$.input.list[1]: NUL character']);
  assert.deepEqual(await input('{"x\\u0000":1}'), ['$.input.list[1]: NUL character']);
  assert.deepEqual(await input('"\\ud800"'), ['$.input.list[1]: lone surrogate']);
  assert.deepEqual(await input('"\\udc00\\ud800"'), ['$.input.list[1]: lone surrogate']);
  assert.deepEqual(await flaws('{"reason":"\\udfff"}', `/api/v1/executions/${UNKNOWN_ID}/cancel`), [
    '$.reason: lone surrogate',
  ]);
  assert.deepEqual(await flaws('{"execution_ids":["\\u0000"]}', '/api/v1/executions/batch-status'), [
    '$.execution_ids[0]: NUL character',
  ]);
  for (const number of ['1e400', '-1e400'])
    assert.deepEqual(await input(`{"n":${number}}`), ['$.input.list[1].n: number out of range']);
  assert.equal((await system.post(SYNC, '{"input":{"constructor":{"prototype":"😀"}}}')).status, 200);
});

test('a bad webhook URL or secret is 400', async () => {
  for (const url of [
    '',
    'x',
    'ftp://x/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    '//x/',
    'http://',
    'http:///x',
    'http:x',
    'http://@x/',
    'http://:@x/',
    `http://user:${CANARY}@x/`,
    `http://${CANARY}@x/`,
    `http://:${CANARY}@x/`,
    'http://x y/',
    'http://x/\r\nA: b',
    ' http://x/',
    'http://x\\@y/',
    'http://[::1/',
    'http://x:99999/',
    `http://x/${'a'.repeat(2048)}`,
  ])
    assert.match((await withWebhook({ url })).join(), /^\$\.webhook\.url: /, url.slice(0, 80));
  for (const url of [5, null, {}, ['http://x/']])
    assert.match((await withWebhook({ url })).join(), /^\$\.webhook\.url: .*expected string/);
  assert.match((await withWebhook({})).join(), /^\$\.webhook\.url: /);
  for (const webhook of [null, [], 'http://x/', 5]) assert.match((await withWebhook(webhook)).join(), /^\$\.webhook: /);
  for (const secret of ['', CANARY.repeat(400), 5, null, { s: CANARY }])
    assert.match((await withWebhook({ url: 'http://127.0.0.1:9/', secret })).join(), /^\$\.webhook\.secret: /);
});

test('a whsec_ secret without a key in it, with which anybody could sign, is 400', async () => {
  for (const secret of ['whsec_', 'whsec_!!!!', 'whsec_ '])
    assert.match((await withWebhook({ url: 'http://127.0.0.1:9/', secret })).join(), /^\$\.webhook\.secret: /, secret);
});

test('webhook headers cannot inject, displace what is ours, or be too many or too long', async () => {
  for (const [name, value] of [
    ['x-a', 'b\r\nx-injected: 1'],
    ['x-a', 'b\nx-injected: 1'],
    ['x-a', 'b\u0001'],
    ['x-a', 'a → b'],
    ['x-a\r\nx-injected', 'b'],
    ['x-a: b', 'c'],
    ['', 'b'],
    ['x a', 'b'],
    ['x-é', 'b'],
    ['x'.repeat(257), 'b'],
    ['x-a', 'b'.repeat(4097)],
  ] as const)
    assert.match(
      (await withHeaders({ [name]: value })).join(),
      /^\$\.webhook\.headers\./,
      JSON.stringify([name, value]).slice(0, 60),
    );
  for (const name of [
    'Host',
    'content-length',
    'Content-Type',
    'TRANSFER-ENCODING',
    'Connection',
    'upgrade',
    'Expect',
    'te',
    'webhook-id',
    'Webhook-Signature',
    'X-AgentField-Signature',
  ])
    assert.match((await withHeaders({ [name]: 'x' })).join(), /cannot be chosen/, name);
  const many = Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`x-${i}`, 'v']));
  assert.deepEqual(await withHeaders(many), ['$.webhook.headers: at most 20 headers']);
  const large = Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`x-${i}`, 'v'.repeat(4000)]));
  assert.deepEqual(await withHeaders(large), ['$.webhook.headers: at most 16384 bytes of names and values']);
  assert.match(
    (await withHeaders({ 'x-a': { secret: CANARY } })).join(),
    /^\$\.webhook\.headers\.x-a: .*expected string/,
  );
  assert.match(
    (await withHeaders({ ['x'.repeat(100_000)]: 5 })).join(),
    /^\$\.webhook\.headers\.x+/,
    'and the refusal stays short',
  );
});

test('everything over-long is refused: headers, ids, reasons', async () => {
  for (const name of ['X-Run-ID', 'X-Parent-Execution-ID', 'X-Session-ID', 'X-Actor-ID'])
    for (const value of ['x'.repeat(201), 'a b', 'é']) {
      const answer = await system.post(SYNC, {}, { ...refusedRun, 'X-Parent-Execution-ID': 'exec_p', [name]: value });
      assertProblem(answer, 400, 'invalid_header');
      assert.ok(answer.body.detail.startsWith(name));
    }
  for (const key of ['x'.repeat(256), '', '""', ' '])
    assertProblem(await system.post(SYNC, {}, { ...refusedRun, 'Idempotency-Key': key }), 400, 'invalid_header');
  assertProblem(await system.get(`/api/v1/executions/exec_${'x'.repeat(10_000)}`), 404, 'execution_not_found');
  assertProblem(await system.get(`/api/v1/${'x'.repeat(10_000)}`), 404, 'route_not_found');
  assertProblem(await system.get(`/api/v1/executions?cursor=${'x'.repeat(10_000)}`), 400, 'invalid_request');
  assert.match(
    (await flaws({ reason: 'x'.repeat(1001) }, `/api/v1/executions/${UNKNOWN_ID}/cancel`)).join(),
    /^\$\.reason: /,
  );
  assert.match(
    (await flaws({ execution_ids: ['x'.repeat(257)] }, '/api/v1/executions/batch-status')).join(),
    /^\$\.execution_ids\[0\]/,
  );
  assert.match((await flaws({ ['x'.repeat(900_000)]: 1 })).join(), /^\$\.x+: unknown field$/);
  const longRequestId = await system.get('/nowhere', { 'X-Request-ID': 'x'.repeat(500) });
  assert.ok((longRequestId.headers.get('X-Request-ID') ?? '').length <= 128);
});

test('what is not even HTTP, or has a head over 32 KiB, is refused as a problem too', async () => {
  assertRawProblem(await raw(`GET /${'x'.repeat(40_000)} HTTP/1.1\r\nHost: x\r\n\r\n`), 431, 'headers_too_large');
  assertRawProblem(
    await raw(`GET / HTTP/1.1\r\nHost: x\r\nX-A: ${'x'.repeat(40_000)}\r\n\r\n`),
    431,
    'headers_too_large',
  );
  assertRawProblem(await raw('\0\u0001\u0002 nonsense\r\n\r\n'), 400, 'malformed_request');
  assert.match(await raw('GET /health HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1.1 200 /);
});

test('what HTTP itself forbids is refused as a problem too: no or a bad Host, a target that is no path, an Expect', async () => {
  assertRawProblem(await raw('GET /health HTTP/1.1\r\n\r\n'), 400, 'malformed_request');
  for (const host of ['a b', 'a/b', '[::1', 'x:y'])
    assertRawProblem(await raw(`GET /health HTTP/1.1\r\nHost: ${host}\r\n\r\n`), 400, 'malformed_request');
  for (const target of ['*', 'http://['])
    assertRawProblem(await raw(`OPTIONS ${target} HTTP/1.1\r\nHost: x\r\n\r\n`), 400, 'malformed_request');
  const post = `POST ${SYNC} HTTP/1.1\r\nHost: x\r\nX-Run-ID: ${REFUSED_RUN}\r\nContent-Length: 2\r\n`;
  assertRawProblem(await raw(`${post}Expect: banana\r\n\r\n{}`), 417, 'expectation_failed');
  assert.match(await raw('GET http://x/health HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1.1 200 /);
  assert.match(await raw('GET /health HTTP/1.0\r\n\r\n'), /^HTTP\/1.1 200 /);
});

test('an unknown route is 404 and a wrong method 405 with Allow, both as problems', async () => {
  for (const path of [
    '/',
    '/api',
    '/api/v1',
    '/api/v1/execute',
    '/api/v1/executions/',
    '/nope',
    '/openapiXjson',
    '/%',
    '/api/v1/execute/a.x/y',
  ])
    assertProblem(await system.get(path), 404, 'route_not_found');
  for (const [method, path, allow] of [
    ['GET', '/api/v1/execute/a.x', ['POST']],
    ['GET', '/api/v1/execute/async/a.x', ['POST']],
    ['DELETE', `/api/v1/executions/${UNKNOWN_ID}`, ['GET']],
    ['PUT', '/api/v1/executions', ['GET']],
    ['GET', '/api/v1/executions/batch-status', ['POST']],
    ['DELETE', '/api/v1/executions/batch-status', ['POST']],
    ['GET', `/api/v1/executions/${UNKNOWN_ID}/cancel`, ['POST']],
    ['OPTIONS', '/health', ['GET']],
  ] as const) {
    const response = await fetch(system.url + path, { method });
    const text = await response.text();
    assertProblem(
      { status: response.status, headers: response.headers, text, body: JSON.parse(text) },
      405,
      'method_not_allowed',
    );
    const allowed = (response.headers.get('Allow') ?? '').split(', ');
    for (const wanted of allow) assert.ok(allowed.includes(wanted), `${method} ${path}: ${allowed.join()}`);
    assert.ok(!allowed.includes(method));
  }
});

test('batch status takes 500 ids of any spelling and no more', async () => {
  const ids = (count: number) => Array.from({ length: count }, (_, i) => `exec_${String(i).padStart(32, 'f')}`);
  assert.match((await flaws({ execution_ids: ids(501) }, '/api/v1/executions/batch-status')).join(), /500/);
  const odd = [
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '',
    ' ',
    '../..',
    'exec_',
    'exec_é',
    "exec_' OR 1=1",
    '%00',
    '😀',
    'x'.repeat(256),
  ];
  const { status, text, body } = await system.post('/api/v1/executions/batch-status', {
    execution_ids: [...odd, ...ids(487)],
  });
  assert.equal(status, 200);
  const entries = Object.entries(JSON.parse(text) as Record<string, Body>);
  assert.equal(entries.length, 500);
  assert.ok(Object.hasOwn(body, '__proto__'));
  for (const [id, entry] of entries) assert.deepEqual(entry, { execution_id: id, status: 'not_found' });
});

test('what was refused is not echoed: no id that is none, no status that is none', async () => {
  for (const [method, path] of [
    ['get', ''],
    ['post', '/cancel'],
    ['post', '/status'],
    ['post', '/webhook/redeliver'],
  ] as const) {
    const answer = await system[method](`/api/v1/executions/${CANARY}${path}`);
    assertProblem(answer, 404, 'execution_not_found');
    assert.equal(answer.body.execution_id, undefined);
  }
  const { execution_id: id } = (await system.post('/api/v1/execute/async/slow.work', {})).body;
  const answer = await system.post(`/api/v1/executions/${id}/status`, { status: CANARY });
  assertProblem(answer, 400, 'invalid_request');
  assert.equal(answer.body.error, 'unsupported status');
});

test('an unknown query parameter is 400 with the nearest known name', async () => {
  const refusal = async (path: string): Promise<unknown> => {
    const answer = await system.get(path);
    assertProblem(answer, 400, 'invalid_request');
    return answer.body.errors;
  };
  assert.deepEqual(await refusal(`/api/v1/executions?Status=${CANARY}`), [
    { path: 'Status', message: 'unknown parameter, did you mean "status"?' },
  ]);
  assert.deepEqual(await refusal('/api/v1/executions?something=1'), [
    { path: 'something', message: 'unknown parameter' },
  ]);
  assert.deepEqual(await refusal(`/api/v1/executions/${UNKNOWN_ID}?waits=1`), [
    { path: 'waits', message: 'unknown parameter, did you mean "wait"?' },
  ]);
});

test('garbage in query parameters is 400 with the name of the parameter, or means nothing', async () => {
  const { execution_id: id } = (await system.post(SYNC, {})).body;
  const cursorOf = (text: string) => `cursor=${Buffer.from(text).toString('base64url')}`;
  const bad: [query: string, path: string][] = [
    ...['limit=0', 'limit=-1', 'limit=101', 'limit=1.5', 'limit=', 'limit=x'].map((query): [string, string] => [
      query,
      'limit',
    ]),
    ...[
      'cursor=garbage',
      'cursor=%00',
      'cursor=%ff',
      cursorOf('12 '),
      cursorOf('999999999999999 exec_x'),
      cursorOf('-1 exec_x'),
      cursorOf('x exec_x'),
    ].map((query): [string, string] => [query, 'cursor']),
    ...['since=yesterday', 'since=', 'since=2026-13-01T00:00:00Z', 'since=2026-02-30T00:00:00Z', 'since=1'].map(
      (query): [string, string] => [query, 'since'],
    ),
    ...['status=done', 'status=', 'status=__proto__', 'status=running%22'].map((query): [string, string] => [
      query,
      'status',
    ]),
    ...['target=x', 'target=a.b%22%20OR%20%22', 'target='].map((query): [string, string] => [query, 'target']),
    ...['run_id=', 'run_id=a%22', 'run_id=a%5C', `run_id=${'x'.repeat(201)}`].map((query): [string, string] => [
      query,
      'run_id',
    ]),
  ];
  for (const [query, name] of bad) {
    const answer = await system.get(`/api/v1/executions?${query}`);
    assertProblem(answer, 400, 'invalid_request');
    assert.equal(answer.body.errors[0].path, name, query);
  }
  for (const wait of ['-1', 'x', '1.5', '', '1e9', '9999999'])
    assertProblem(await system.get(`/api/v1/executions/${id}?wait=${wait}`), 400, 'invalid_request');
  for (const query of [
    '',
    '?',
    '?limit=100&limit=0',
    '?&&==',
    '?since=0001-01-01T00:00:00Z',
    '?since=9999-12-31T23:59:59Z',
    '?since=0000-01-01T00:00:00Z',

    `?${cursorOf(`0 ${UNKNOWN_ID}`)}`,
    `?${cursorOf(`999999999999999 ${UNKNOWN_ID}`)}`,
    '?since=9999-12-31T23:59:59-12:00',
    '?since=2026-01-01T00:00:00%2B23:59',
  ])
    assert.equal((await system.get(`/api/v1/executions${query}`)).status, 200, query);
});

test('a Prefer that makes no sense is ignored', async () => {
  for (const Prefer of [
    '',
    ',',
    'wait',
    'wait=',
    'wait=-1',
    'wait=1.5',
    'wait=soon',
    'wait=1e9',
    '=',
    'respond-asynchronously',
    'return=minimal',
    'return=minimal; wait=1',
    'foo; respond-async',
    ';;;,,,',
    'x'.repeat(4000),
  ]) {
    const answer = await system.post(SYNC, {}, { Prefer });
    assert.equal(answer.status, 200, Prefer);
    assert.equal(answer.headers.get('Preference-Applied'), null, Prefer);
  }
});

const wellFormed = (text: string) => Buffer.from(text).toString();

/** Numbers that look random and are the same in every run (mulberry32). */
function dice(seed: number) {
  let state = seed;
  const roll = (sides: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) % sides;
  };
  const pick = <T>(items: readonly [T, ...T[]]): T => items[roll(items.length)] ?? items[0];
  return { roll, pick };
}

test('no request, however garbled, gets a 5xx or hangs', async () => {
  const { roll, pick } = dice(20_261_123);
  const { execution_id: finished } = (await system.post(SYNC, {})).body;
  const { execution_id: open } = (await system.post('/api/v1/execute/async/slow.work', {})).body;
  const word = (): string =>
    pick([
      '',
      'x',
      '__proto__',
      'input',
      'url',
      '\0',
      '\ud800',
      '😀',
      '../',
      '%00',
      '"',
      'http://127.0.0.1:9/',
      'a.x',
      'running',
      'x'.repeat(roll(2000)),
      String(roll(1e9)),
    ]);
  const value = (depth: number): unknown => {
    if (depth === 0 || roll(3) === 0) return pick([null, true, 0, -1, 1.5, 1e308, '', word(), [], {}]);
    const size = roll(4);
    if (roll(2) === 0) return Array.from({ length: size }, () => value(depth - 1));
    const names = [
      'input',
      'webhook',
      'url',
      'secret',
      'headers',
      'context',
      'execution_ids',
      'status',
      'result',
      'error',
      'reason',
      word(),
    ] as const;
    return Object.fromEntries(Array.from({ length: size }, () => [pick(names), value(depth - 1)]));
  };
  const text = (): string => {
    const json = JSON.stringify(value(4));
    return pick([
      json,
      json,
      json,
      json.slice(0, roll(json.length + 1)),
      json.replaceAll('"', ''),
      word(),
      Buffer.from(json).toString('utf16le'),
    ]);
  };
  const path = (): string => {
    const id = pick([finished, open, UNKNOWN_ID, encodeURIComponent(wellFormed(word())), 'x']);
    const target = pick(['a.x', 'b.add', 'b.no', 'no.no', `a.${encodeURIComponent(wellFormed(word()))}`, '']);
    const query = pick([
      '',
      '',
      '?wait=0',
      '?limit=3',
      `?cursor=${encodeURIComponent(wellFormed(word()))}`,
      `?since=${roll(9999)}-01-01T00:00:00Z`,
      '?&=',
      '?%',
    ]);
    return (
      pick([
        '/api/v1/execute/' + target,
        '/api/v1/execute/async/' + target,
        '/api/v1/executions',
        '/api/v1/executions/batch-status',
        `/api/v1/executions/${id}`,
        `/api/v1/executions/${id}/status`,
        `/api/v1/executions/${id}/cancel`,
        `/api/v1/executions/${id}/webhook/redeliver`,
        '/health',
        '/ready',
        '/openapi.json',
        '/' + encodeURIComponent(wellFormed(word())),
      ]) + query
    );
  };
  const headers = (): Record<string, string> => {
    const garbage = pick([
      '',
      'x',
      '-1',
      '""',
      '\u00ff\u00fe',
      'wait=0',
      '*',
      'W/"',
      'no-cache',
      'x'.repeat(roll(5000)),
    ]);
    const name = pick([
      'Idempotency-Key',
      'X-Run-ID',
      'Prefer',
      'If-None-Match',
      'Cache-Control',
      'X-Request-ID',
      'Content-Type',
      'Accept',
      'X-Session-ID',
      'Range',
      'Origin',
    ]);
    return { [name]: garbage };
  };
  const requests = Array.from({ length: 600 }, () => {
    const method = pick(['POST', 'POST', 'POST', 'POST', 'GET', 'GET', 'GET', 'PUT', 'DELETE', 'OPTIONS', 'HEAD']);
    return { url: system.url + path(), method, headers: headers(), ...(!/GET|HEAD/.test(method) && { body: text() }) };
  });
  const rest = requests.values();
  const client = async () => {
    for (const { url, ...init } of rest) {
      const response = await fetch(url, { ...init, signal: AbortSignal.timeout(30_000) });
      const answer = await response.text();
      const story = `${init.method} ${url} ${JSON.stringify(init).slice(0, 2000)}: ${response.status} ${answer.slice(0, 500)}`;
      assert.ok(response.status < 500, story);
      if (init.method === 'HEAD' || response.status < 400) continue;
      assert.match(response.headers.get('Content-Type') ?? '', /^application\/(problem\+)?json/, story);
      assert.ok((JSON.parse(answer) as Body).error, story);
    }
  };
  await Promise.all(Array.from({ length: 8 }, client));
  assert.equal((await system.post(SYNC, {})).status, 200);
});

test('nothing that was refused was started', async () => {
  const run = `run_taken_${randomUUID()}`;
  assert.equal((await system.post(SYNC, {}, { 'X-Run-ID': run })).status, 200);
  const count = async (id: string) => (await system.client.workflow.count(`PerdureRunId = "${id}"`)).count;
  for (const until = Date.now() + 30_000; (await count(run)) === 0; await sleep(50)) assert.ok(Date.now() < until);
  assert.equal(await count(REFUSED_RUN), 0);
  assert.deepEqual(
    agent.received.filter(({ headers }) => headers['x-run-id'] === REFUSED_RUN),
    [],
  );
});
