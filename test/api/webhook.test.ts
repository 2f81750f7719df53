// oxlint-disable max-lines -- the promises of one feature, on one shared system
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import proto from '@temporalio/proto';
import { pino } from 'pino';
import { Webhook } from 'standardwebhooks';
import { loadApiConfig } from '../../api/config.ts';
import { acceptingAgent, isCallOf } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer, sendJson, webhookReceiver } from '../support/http-server.ts';
import type { Received, TestServer } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { Body, System } from '../support/system.ts';

const shared = sharedContext();
/** Acknowledges, and says how it ended when the test makes it. */
let slow: AcceptingAgent;
let system: System;
/** All that the API has logged. */
let logged = '';
before(async () => {
  const log = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      logged += chunk.toString();
      done();
    },
  });
  slow = await acceptingAgent(shared);
  // Answers with its input, or refuses when told to.
  const echo = await httpServer(shared, (request, response) => {
    const { refuse, ...input } = JSON.parse(request.body) as { refuse?: unknown };
    sendJson(response, refuse ? 422 : 200, refuse ?? input);
  });
  system = await startSystem(shared, {
    agentNodes: { slow: slow.url, echo: { url: echo.url, skills: ['say'] } },
    policy: { webhook: { attemptTimeoutMs: 1_000 } },
    logger: pino({ level: 'trace' }, log),
  });
});
after(shared.close);

interface Registration {
  url: string;
  secret?: string;
  headers?: Record<string, string>;
}

async function submit(target: string, webhook: Registration | undefined, more: object = {}): Promise<string> {
  const { status, body, text } = await system.post(`/api/v1/execute/async/${target}`, { webhook, ...more });
  assert.equal(status, 202, text);
  return body.execution_id as string;
}

/** The execution once its log shows so many attempts; the workflow has then closed, so nothing more can follow. */
async function delivered(id: string, attempts: number): Promise<Body> {
  await system.client.workflow
    .getHandle(id)
    .result()
    .catch(() => undefined);
  const path = `/api/v1/executions/${id}`;
  for (const until = Date.now() + 60_000; Date.now() < until; await sleep(20)) {
    const { body } = await system.get(path);
    if (body.webhook_events.length >= attempts) return body;
  }
  throw new Error(`${id} shows ${(await system.get(path)).text}, not ${attempts} attempts`);
}

const payloadOf = (request: Received | undefined): Body => JSON.parse(request?.body ?? 'null');
const numbersOf = (view: Body): number[] => view.webhook_events.map((event: Body) => event.attempt);
const errorsOf = (view: Body): unknown[] => view.webhook_events.map((event: Body) => event.error);
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text);

/** A port that refuses connections. */
async function nobody(): Promise<string> {
  const server = await httpServer(undefined, () => undefined);
  await server.close();
  return server.url;
}

const COMMON_FIELDS =
  'event execution_id run_id workflow_id status target type duration_ms started_at completed_at timestamp sequence'.split(
    ' ',
  );

// Most of what follows is waiting for Temporal to try again: side by side it takes a third of the time.
describe('a webhook', { concurrency: 6 }, () => {
  test('a webhook tells a success with every field, and as the poll does', async (t) => {
    const receiver = await webhookReceiver(t, 200);
    const input = { text: 'Grüße, 世界 😀', list: [1, null, { deep: true }] };
    const id = await submit('echo.say', { url: receiver.url }, { input });
    const view = await delivered(id, 1);
    const payload = payloadOf(receiver.received[0]);
    assert.deepEqual(Object.keys(payload).toSorted(), [...COMMON_FIELDS, 'result'].toSorted());
    assert.equal(payload.event, 'execution.completed');
    assert.equal(payload.execution_id, id);
    assert.equal(payload.run_id, view.run_id);
    assert.equal(payload.workflow_id, view.run_id);
    assert.equal(payload.status, 'succeeded');
    assert.equal(payload.target, 'echo.say');
    assert.equal(payload.type, 'skill');
    assert.deepEqual(payload.result, input);
    assert.equal(payload.duration_ms, view.duration_ms);
    assert.equal(payload.started_at, view.started_at);
    assert.equal(payload.completed_at, view.completed_at);
    assert.equal(payload.timestamp, view.completed_at);
    assert.equal(payload.sequence, view.sequence - 1, 'the attempt itself is the entry after the outcome');
    assert.equal(receiver.received[0]?.method, 'POST');
    assert.equal(receiver.received[0]?.headers['content-type'], 'application/json');
    assert.equal(receiver.received.length, 1);
  });

  const ENDINGS: [status: string, error: string, end: (id: string) => Promise<unknown>][] = [
    [
      'failed',
      'no such page',
      (id) => slow.report(id, { status: 'error', error: 'no such page', error_details: { page: 7 } }),
    ],
    ['timeout', 'Agent timeout', () => Promise.resolve()],
    [
      'cancelled',
      'Execution cancelled: enough',
      (id) => system.post(`/api/v1/executions/${id}/cancel`, { reason: 'enough' }),
    ],
  ];
  for (const [status, error, end] of ENDINGS) {
    test(`a webhook tells an execution that ended as ${status} with every field`, async (t) => {
      const receiver = await webhookReceiver(t, 200);
      // Longer than a busy machine takes to call the agent.
      const limit = status === 'timeout' ? { timeout_ms: 2000 } : {};
      const id = await submit('slow.work', { url: receiver.url }, limit);
      await slow.waitFor(1, isCallOf(id));
      await end(id);
      const view = await delivered(id, 1);
      const payload = payloadOf(receiver.received[0]);
      const { error_details: details, ...rest } = payload;
      assert.deepEqual(
        Object.keys(rest).toSorted(),
        [...COMMON_FIELDS, 'error', 'error_category', 'error_message'].toSorted(),
      );
      assert.equal(payload.event, 'execution.failed');
      assert.equal(payload.status, status);
      assert.equal(payload.error, error);
      assert.equal(payload.error_message, error);
      assert.deepEqual(details ?? null, view.error_details);
      for (const field of [
        'status',
        'error',
        'error_category',
        'run_id',
        'target',
        'type',
        'started_at',
        'completed_at',
        'duration_ms',
      ])
        assert.equal(payload[field], view[field], field);
      assert.equal(payload.execution_id, id);
      assert.equal(payload.workflow_id, view.run_id);
      assert.equal(payload.timestamp, payload.completed_at);
      assert.equal(payload.sequence, view.sequence - 1);
      assert.equal(receiver.received.length, 1);
    });
  }

  test('an execution that ended before it began has no started_at', async (t) => {
    const receiver = await webhookReceiver(t, 200);
    const own = await startSystem(t, { agentNodes: { slow: slow.url }, withWorker: false });
    const { body } = await own.post('/api/v1/execute/async/slow.work', { webhook: { url: receiver.url } });
    await own.post(body.links.cancel);
    await own.startWorker();
    const payload = payloadOf((await receiver.waitFor(1))[0]);
    assert.equal(payload.status, 'cancelled');
    assert.equal(payload.started_at, null);
    assert.ok(payload.duration_ms >= 0);
  });

  test('signatures verify over the exact bytes, and an altered byte does not', async (t) => {
    const receiver = await webhookReceiver(t, 200);
    const standardSecret = `whsec_${randomBytes(32).toString('base64')}`;
    for (const secret of [standardSecret, 'an ordinary sécret']) {
      const id = await submit('echo.say', { url: receiver.url, secret }, { input: { text: 'ünïcödé 😀' } });
      await delivered(id, 1);
      const request = receiver.received.at(-1);
      assert.ok(request);
      const { headers, body } = request;
      assert.equal(headers['x-agentfield-signature'], `sha256=${hmac(secret, body).digest('hex')}`);
      const webhookId = String(headers['webhook-id']);
      const timestamp = String(headers['webhook-timestamp']);
      assert.match(timestamp, /^\d{10}$/);
      assert.ok(Math.abs(Number(timestamp) * 1000 - request.at) < 30_000);
      const key = secret === standardSecret ? Buffer.from(secret.slice('whsec_'.length), 'base64') : secret;
      assert.equal(
        headers['webhook-signature'],
        `v1,${hmac(key, `${webhookId}.${timestamp}.${body}`).digest('base64')}`,
      );

      const verifier =
        secret === standardSecret ? new Webhook(secret) : new Webhook(Buffer.from(secret), { format: 'raw' });
      assert.deepEqual(verifier.verify(body, headers as Record<string, string>), payloadOf(request));
      assert.throws(() => verifier.verify(body.replace('succeeded', 'succeedet'), headers as Record<string, string>));
    }
  });

  test("the user's headers are sent as given and once; without a secret there is no signature", async (t) => {
    const raw: string[][] = [];
    const receiver = await httpServer(t, (_request, response, incoming) => {
      raw.push(incoming.rawHeaders);
      response.writeHead(204).end();
    });
    const headers = { Authorization: 'Bearer abc', 'X-Tenant': 'Zoë', 'user-agent': 'mine/1.0', 'X-Empty': '' };
    await delivered(await submit('echo.say', { url: `${receiver.url}/hook?a=b&c=%20d`, headers }), 1);
    const got = receiver.received[0];
    assert.equal(got?.path, '/hook?a=b&c=%20d');
    assert.equal(got?.headers.authorization, 'Bearer abc');
    assert.equal(got?.headers['x-tenant'], 'Zoë');
    assert.equal(got?.headers['x-empty'], '');
    assert.equal(got?.headers['content-type'], 'application/json');
    assert.match(String(got?.headers['webhook-id']), /^dlv_\w+$/);
    assert.equal(got?.headers['webhook-signature'], undefined);
    assert.equal(got?.headers['x-agentfield-signature'], undefined);

    await delivered(await submit('echo.say', { url: receiver.url, headers: { 'User-Agent': 'mine/1.0' } }), 1);
    for (const names of raw.map((pairs) => pairs.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase())))
      assert.deepEqual(names, [...new Set(names)], 'no header is there twice');
  });

  test('a receiver that fails and recovers gets the same bytes under the same id until it takes them', async (t) => {
    const receiver = await webhookReceiver(t, 500, 500, 204);
    const id = await submit('echo.say', { url: receiver.url, secret: 's3cret' }, { input: { n: 1 } });
    const view = await delivered(id, 3);
    const [first] = receiver.received;
    assert.equal(receiver.received.length, 3);
    for (const attempt of receiver.received) {
      assert.equal(attempt.body, first?.body);
      assert.equal(attempt.headers['webhook-id'], first?.headers['webhook-id']);
      new Webhook(Buffer.from('s3cret'), { format: 'raw' }).verify(
        attempt.body,
        attempt.headers as Record<string, string>,
      );
    }
    const events: Body[] = view.webhook_events;
    assert.deepEqual(
      events.map(({ attempt, http_status, error }) => [attempt, http_status, error]),
      [
        [1, 500, 'receiver answered 500'],
        [2, 500, 'receiver answered 500'],
        [3, 204, null],
      ],
    );
    for (const [i, event] of events.entries()) {
      assert.deepEqual(Object.keys(event), ['attempt', 'http_status', 'error', 'timestamp', 'duration_ms']);
      assert.ok(Number.isInteger(event.duration_ms) && event.duration_ms >= 0);
      const at = receiver.received[i]?.at ?? 0;
      assert.ok(Date.parse(event.timestamp) <= at && Date.parse(event.timestamp) >= at - 5_000, event.timestamp);
      assert.equal(event.timestamp, new Date(event.timestamp).toISOString());
    }
    assert.equal(view.sequence, payloadOf(first).sequence + 3, 'every attempt is an entry of the log');
  });

  test('five failures exhaust a delivery, and each one is listed', async (t) => {
    const receiver = await webhookReceiver(t, 500);
    const id = await submit('echo.say', { url: receiver.url });
    const view = await delivered(id, 5);
    assert.deepEqual(numbersOf(view), [1, 2, 3, 4, 5]);
    assert.equal(receiver.received.length, 5);
    assert.equal(view.status, 'succeeded', 'the outcome does not depend on the webhook');
  });

  test('unless told otherwise there are 5 attempts of 10 s, 5 s apart and doubling, by a retry policy of Temporal', async (t) => {
    const { webhook } = loadApiConfig({ PERDURE_SECRET_KEYS: `k:${randomBytes(32).toString('base64')}` }).policy;
    assert.deepEqual([webhook.maximumAttempts, webhook.attemptTimeoutMs], [5, 10_000]);
    const receiver = await webhookReceiver(t, 204);
    const own = await startSystem(t, { agentNodes: { slow: slow.url }, policy: { webhook } });
    const { body } = await own.post('/api/v1/execute/async/slow.work', { webhook: { url: receiver.url } });
    await slow.report(body.execution_id, { status: 'ok' });
    await receiver.waitFor(1);
    const { events } = await own.client.workflow.getHandle(body.execution_id).fetchHistory();
    const { retryPolicy } = events?.findLast((event) => event.activityTaskScheduledEventAttributes)
      ?.activityTaskScheduledEventAttributes ?? { retryPolicy: null };
    assert.equal(retryPolicy?.maximumAttempts, 5);
    assert.equal(Number(retryPolicy?.initialInterval?.seconds), 5);
    assert.equal(retryPolicy?.backoffCoefficient, 2);
    assert.equal(retryPolicy?.nonRetryableErrorTypes?.length, 0);
  });

  test('a Retry-After is honoured, and 410 ends the delivery at once', async (t) => {
    let calls = 0;
    const busy = await httpServer(t, (_request, response) => {
      if (++calls === 1) response.writeHead(503, { 'retry-after': '3' }).end();
      else response.writeHead(410).end();
    });
    const view = await delivered(await submit('echo.say', { url: busy.url }), 2);
    assert.deepEqual(errorsOf(view), ['receiver answered 503', 'receiver answered 410']);
    const [first, second] = busy.received;
    assert.ok(
      (second?.at ?? 0) - (first?.at ?? 0) >= 3000,
      'not earlier than asked for; without it the pause is about 1 s',
    );
    assert.equal(busy.received.length, 2);
  });

  test('a redirect is a failure and is not followed', async (t) => {
    const elsewhere = await webhookReceiver(t, 200);
    const receiver = await httpServer(t, (_request, response) => {
      response.writeHead(307, { location: elsewhere.url }).end();
    });
    const view = await delivered(await submit('echo.say', { url: receiver.url }), 5);
    assert.deepEqual(new Set(errorsOf(view)), new Set(['receiver answered 307']));
    assert.equal(receiver.received.length, 5);
    assert.equal(elsewhere.received.length, 0);
  });

  /** Answers with the status and then a body without end, as fast as it is taken; counts what was sent. */
  async function endlessReceiver(
    t: TestContext,
    status: number,
  ): Promise<{ url: string; sent: () => number; cut: Promise<void> }> {
    let sent = 0;
    let isCut: () => void = () => undefined;
    const cut = new Promise<void>((resolve) => (isCut = resolve));
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const { url } = await httpServer(t, (_request, response) => {
      response.once('close', isCut);
      response.on('error', () => undefined);
      response.writeHead(status, { 'content-type': 'text/plain' });
      const push = () => {
        while (!response.destroyed && sent < 50_000_000) {
          sent += chunk.length;
          if (!response.write(chunk)) return;
        }
        response.end();
      };
      response.on('drain', push);
      push();
    });
    return { url, sent: () => sent, cut };
  }

  test('an answer without end is cut after 64 KiB, and its status counts', async (t) => {
    const receiver = await endlessReceiver(t, 200);
    const view = await delivered(await submit('echo.say', { url: receiver.url }), 1);
    assert.deepEqual(view.webhook_events[0].http_status, 200);
    assert.deepEqual(errorsOf(view), [null]);
    await receiver.cut;
    assert.ok(receiver.sent() < 20_000_000, `${receiver.sent()} bytes went out before the cut`);
  });

  test('a receiver whose answer stalls after a 2xx has taken the webhook', async (t) => {
    const receiver = await httpServer(t, (_request, response) => {
      response.writeHead(200, { 'content-length': '10' }).write('x');
    });
    const view = await delivered(await submit('echo.say', { url: receiver.url }), 1);
    assert.deepEqual(errorsOf(view), [null]);
    assert.equal(view.webhook_events[0].http_status, 200);
    assert.equal(receiver.received.length, 1, 'it is not sent again');
  });

  test('a receiver that never answers, hangs up, or is not there: each attempt says so', async (t) => {
    const silent = await httpServer(t, () => undefined);
    const rude = await httpServer(t, (_request, response) => void response.destroy());
    const { url: gone } = { url: await nobody() };
    const [first, second, third] = await Promise.all([
      submit('echo.say', { url: silent.url }),
      submit('echo.say', { url: rude.url }),
      submit('echo.say', { url: gone }),
    ]);
    const timedOut = await delivered(first, 5);
    assert.deepEqual(errorsOf(timedOut), Array(5).fill('no answer within 1 s'));
    for (const event of timedOut.webhook_events) {
      assert.equal(event.http_status, null);
      assert.ok(event.duration_ms >= 950 && event.duration_ms < 5_000, String(event.duration_ms));
    }
    for (const view of [await delivered(second, 5), await delivered(third, 5)]) {
      assert.deepEqual(numbersOf(view), [1, 2, 3, 4, 5]);
      for (const error of errorsOf(view)) assert.match(String(error), /^connection failed: [A-Z_]+$/);
    }
    assert.deepEqual(errorsOf(await delivered(third, 5))[0], 'connection failed: ECONNREFUSED');
  });

  test('no webhook leaves before its outcome: whoever gets it and polls finds the execution ended', async (t) => {
    const polls: Body[] = [];
    const receiver: TestServer = await httpServer(t, async (request, response) => {
      const id = payloadOf(request).execution_id as string;
      polls.push({ payload: payloadOf(request), view: (await system.get(`/api/v1/executions/${id}`)).body });
      response.writeHead(polls.length % 2 ? 500 : 204).end();
    });
    for (let i = 0; i < 3; i++) {
      const id = await submit('slow.work', { url: receiver.url });
      await slow.callbackUrl(id);
      await slow.report(id, { status: 'running', progress: 50 });
      await sleep(300);
      assert.equal(receiver.received.length, 2 * i, 'nothing is sent while the agent works');
      await slow.report(id, { status: i === 1 ? 'failed' : 'succeeded', result: i, error: 'bad' });
      await delivered(id, 2);
    }
    assert.equal(polls.length, 6);
    for (const { payload, view } of polls) {
      assert.equal(view.status, payload.status);
      assert.equal(view.completed_at, payload.completed_at);
      assert.ok(view.sequence >= payload.sequence);
      assert.deepEqual(view.result, payload.result ?? null);
    }
  });

  const redeliver = (id: string) => system.post(`/api/v1/executions/${id}/webhook/redeliver`);

  test('a webhook is sent again after a delivery that failed and after one that did not: same id, same bytes, numbered on', async (t) => {
    let status = 500;
    const receiver = await httpServer(t, (_request, response) => void response.writeHead(status).end());
    const id = await submit('echo.say', { url: receiver.url, secret: 's3cret' }, { input: { n: 1 } });
    const exhausted = await delivered(id, 5);
    status = 204;
    const again = await redeliver(id);
    assert.equal(again.status, 202, again.text);
    assert.equal(again.body.execution_id, id);
    assert.equal(again.body.run_id, exhausted.run_id);
    assert.equal(again.body.status, 'succeeded');
    assert.equal(again.headers.get('Location'), `/api/v1/executions/${id}`);
    await delivered(id, 6);
    assert.equal((await redeliver(id)).status, 202);
    const view = await delivered(id, 7);
    assert.deepEqual(numbersOf(view), [1, 2, 3, 4, 5, 6, 7]);
    assert.deepEqual(
      view.webhook_events.map((event: Body) => event.http_status),
      [500, 500, 500, 500, 500, 204, 204],
    );
    assert.deepEqual(view.webhook_events.slice(0, 5), exhausted.webhook_events);
    assert.deepEqual({ ...view, webhook_events: [], sequence: 0 }, { ...exhausted, webhook_events: [], sequence: 0 });
    assert.equal(view.sequence, exhausted.sequence + 2);
    assert.equal(receiver.received.length, 7);
    const ids = receiver.received.map(({ headers }) => headers['webhook-id']);
    assert.deepEqual([new Set(ids).size, new Set(receiver.received.map(({ body }) => body)).size], [1, 1]);
  });

  test('the webhook of an execution that an operator terminated can be sent', async (t) => {
    const receiver = await webhookReceiver(t, 204);
    const id = await submit('slow.work', { url: receiver.url, secret: 's3cret' });
    await slow.waitFor(1, isCallOf(id));
    await system.client.workflow.getHandle(id).terminate('spring cleaning');
    const ended = await system.end(id);
    assert.deepEqual(ended.webhook_events, []);
    assert.equal((await redeliver(id)).status, 202);
    const view = await delivered(id, 1);
    const [request] = receiver.received;
    const payload = payloadOf(request);
    assert.equal(payload.event, 'execution.failed');
    assert.equal(payload.status, 'cancelled');
    assert.equal(payload.error, 'Terminated by an operator: spring cleaning');
    assert.equal(payload.completed_at, ended.completed_at);
    assert.equal(
      request?.headers['x-agentfield-signature'],
      `sha256=${hmac('s3cret', request?.body ?? '').digest('hex')}`,
    );
    assert.deepEqual({ ...view, webhook_events: [], sequence: 0 }, { ...ended, sequence: 0 });
  });

  test('however many ask for it at the same time, every attempt that is made is listed once', async (t) => {
    const receiver = await webhookReceiver(t, 410);
    const id = await submit('echo.say', { url: receiver.url });
    await delivered(id, 1);
    let taken = 0;
    const ask = async () => {
      for (let i = 0; i < 12; i++) {
        const { status, body } = await redeliver(id);
        if (status === 202) taken += 1;
        else assert.deepEqual([status, body.code], [409, 'delivery_in_progress']);
      }
    };
    await Promise.all(Array.from({ length: 6 }, ask));
    const view = await delivered(id, taken + 1);
    assert.ok(taken > 0);
    assert.equal(receiver.received.length, taken + 1);
    assert.deepEqual(
      numbersOf(view),
      Array.from({ length: taken + 1 }, (_, i) => i + 1),
    );
  });

  test('there is nothing to send again for an execution that is unknown, unfinished, or has no webhook', async () => {
    const codes = async (id: string) => {
      const { status, body } = await redeliver(id);
      return [status, body.code];
    };
    assert.deepEqual(await codes(`exec_${'0'.repeat(32)}`), [404, 'execution_not_found']);
    assert.deepEqual(await codes('nonsense'), [404, 'execution_not_found']);
    const open = await submit('slow.work', { url: await nobody() });
    assert.deepEqual(await codes(open), [409, 'execution_not_finished']);
    await slow.report(open, { status: 'ok' });
    const bare = await submit('echo.say', undefined);
    assert.equal((await system.end(bare)).webhook_registered, false);
    assert.deepEqual(await codes(bare), [409, 'no_webhook']);
  });

  /** All that Temporal keeps of an execution, byte for byte as it stands on the wire. */
  async function keptOf(id: string): Promise<string> {
    const { workflowService } = system.client;
    const { namespace } = system.client.options;
    const { v1 } = proto.temporal.api.workflowservice;
    const bytes: Uint8Array[] = [];
    const list = await workflowService.listWorkflowExecutions({ namespace, query: `WorkflowId = "${id}"` });
    bytes.push(v1.ListWorkflowExecutionsResponse.encode(list).finish());
    for (const { execution } of list.executions) {
      const described = await workflowService.describeWorkflowExecution({ namespace, execution });
      bytes.push(v1.DescribeWorkflowExecutionResponse.encode(described).finish());
      const history = await workflowService.getWorkflowExecutionHistory({ namespace, execution });
      assert.equal(history.nextPageToken.length, 0);
      bytes.push(v1.GetWorkflowExecutionHistoryResponse.encode(history).finish());
    }
    return Buffer.concat(bytes).toString('latin1');
  }

  /** The text, and how it looks in base64 at each alignment and in hex. */
  function spellings(secret: string): string[] {
    const base64 = [0, 1, 2].map((pad) =>
      Buffer.from(' '.repeat(pad) + secret)
        .toString('base64')
        .slice(4, -4),
    );
    return [secret, ...base64, Buffer.from(secret).toString('hex'), encodeURIComponent(secret)];
  }

  test('the secret, header values and the URL of a webhook are nowhere readable: history, lists, answers, logs', async (t) => {
    const canary = `canary${randomBytes(12).toString('hex')}`;
    const receiver = await webhookReceiver(t, 500, 500, 410, 204);
    const register = (url: string) => ({
      url: `${url}/hook/${canary}?token=${canary}`,
      secret: canary,
      headers: { 'X-Key': canary },
    });
    const answers: string[] = [];
    const keep = <T extends { text: string; headers: Headers }>(answer: T): T => {
      answers.push(answer.text, JSON.stringify([...answer.headers]));
      return answer;
    };
    const first = { webhook: register(receiver.url), input: { text: 'in plain sight' }, context: {} };
    const headers = { 'Idempotency-Key': randomBytes(8).toString('hex') };
    const { body } = keep(await system.post('/api/v1/execute/async/echo.say', first, headers));
    const id = body.execution_id as string;
    await delivered(id, 3);
    keep(await redeliver(id));
    await delivered(id, 4);
    assert.ok(receiver.received.every(({ path, headers: got }) => path.includes(canary) && got['x-key'] === canary));
    keep(await system.post('/api/v1/execute/echo.say', { webhook: register(await nobody()) }));
    const unreachable =
      answers.map((text) => /"execution_id":"(\w+)"/.exec(text)?.[1]).findLast((found) => found) ?? '';
    await delivered(unreachable, 5);

    keep(await system.post('/api/v1/execute/echo.say', first, headers));
    keep(await system.post('/api/v1/execute/echo.say', { webhook: register(receiver.url) }, headers));
    keep(await system.post('/api/v1/execute/echo.say', { webhook: { ...register('ftp://x'), secret: [canary] } }));
    keep(await system.post('/api/v1/execute/echo.say', { webhook: canary }));
    keep(await system.post('/api/v1/execute/echo.say', `{"webhook":{"secret":"${canary}"`));
    keep(await system.post(`/api/v1/executions/${id}/cancel`));
    for (const path of [
      `/api/v1/executions/${id}`,
      `/api/v1/executions/${unreachable}`,
      '/api/v1/executions?limit=100',
    ])
      keep(await system.get(path));
    keep(await system.get(`/api/v1/executions/${id}`, { 'Cache-Control': 'no-cache' }));
    keep(await system.post('/api/v1/executions/batch-status', { execution_ids: [id, unreachable] }));

    const places = {
      history: (await keptOf(id)) + (await keptOf(unreachable)),
      answers: answers.join('\n'),
      logs: logged,
    };
    assert.ok(
      places.history.includes('in plain sight') && places.history.includes(receiver.url),
      'the search finds what is there',
    );
    assert.ok(places.history.includes('redeliverWebhook'), 'every run is searched');
    assert.ok(places.logs.includes(id) && places.answers.includes(id));
    for (const [place, text] of Object.entries(places))
      for (const spelling of spellings(canary)) assert.ok(!text.includes(spelling), `${place} shows ${spelling}`);
  });
});
