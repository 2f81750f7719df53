import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkInvariants } from '../../chaos/invariants.ts';
import type { Disturbance, Fact } from '../../chaos/ledger.ts';
import type { PlannedExecution } from '../../chaos/plan.ts';
import {
  answered,
  arrived,
  attemptLog,
  broken,
  callback,
  called,
  disturbance,
  happy,
  ID,
  log,
  PLANNED,
  refused,
  RIGHT,
  submitted,
  told,
  took,
  WITH_WEBHOOK,
  WRONG,
} from './sketches.ts';
import type { Sketch } from './sketches.ts';

test('a run in which all went well breaks nothing', () => {
  assert.deepEqual(broken(happy), []);
  assert.deepEqual(broken([...happy, told('webhook'), arrived(), took(), attemptLog(204)], WITH_WEBHOOK), []);
});

test('I1: an acknowledged execution that Temporal does not have is lost', () => {
  assert.deepEqual(broken([...submitted, { kind: 'not-in-temporal', id: ID } as Sketch]), ['I1']);
});

test('I1: one request that became two executions', () => {
  assert.deepEqual(broken([...happy, called(1, { id: 'exec_other' })]).includes('I1'), true);
});

test('I1: an execution that nobody had asked for', () => {
  const facts = [{ at: 0, n: -1, ...told('temporal') } as Fact];
  assert.deepEqual(
    checkInvariants({ executions: [PLANNED], facts, disturbances: [] }).map(({ invariant }) => invariant),
    ['I1'],
  );
});

test('I2: an end that changes on one channel', () => {
  assert.ok(broken([...submitted, called(), answered(), told('poll'), told('poll', WRONG)]).includes('I2'));
});

test('I2: an execution that shows as open long after its end was told', () => {
  const open = { kind: 'told-open', id: ID, channel: 'batch', askedAt: 9_000, status: 'running', at: 9_001 } as Sketch;
  assert.deepEqual(broken([...happy, open]), ['I2']);
  const soon = { ...open, askedAt: 1_000, at: 1_001 } as Sketch;
  assert.deepEqual(broken([...happy, soon]), []);
});

test('I3: a second call that nothing explains', () => {
  assert.deepEqual(broken([...submitted, called(1), answered(1), called(2), answered(2), told('poll')]), ['I3']);
});

test('I3: a second call is explained by a failure that the agent gave, or by the death of the caller', () => {
  const failed = answered(1, { how: '500', retryable: true, gave: undefined });
  assert.deepEqual(broken([...submitted, called(1), failed, called(2), answered(2), told('poll')]), []);
  const killed = [...submitted, called(1), called(2, { caller: 'worker-2#1' }), answered(2), told('poll')];
  assert.deepEqual(broken(killed, PLANNED, [disturbance('worker-1#1', 250, 900)]), []);
  assert.deepEqual(broken(killed, PLANNED, [disturbance('worker-2#1', 250, 900)]), ['I3']);
});

test('I3: a call is explained that its worker had taken up before it was stopped, and made at once when it came to', () => {
  const stopped: Disturbance = { ...disturbance('worker-2#1', 5_000, 9_000), how: 'stopped' };
  const second = (at: number) => [
    ...submitted,
    called(1),
    answered(1, { how: '202', gave: undefined }),
    called(2, { at, caller: 'worker-2#1' }),
    answered(2, { at: at + 100 }),
    told('poll', RIGHT, { at: at + 200 }),
  ];
  assert.deepEqual(broken(second(9_300), PLANNED, [stopped]), []);
  assert.deepEqual(broken(second(12_000), PLANNED, [stopped]), ['I3']);
});

test('I3: the death of a worker long after its answer was recorded explains no call', () => {
  const late = called(2, { at: 20_000, caller: 'worker-2#1' });
  const accepted = answered(1, { how: '202', gave: undefined });
  const again = [
    ...submitted,
    called(1),
    accepted,
    late,
    answered(2, { at: 20_100 }),
    told('poll', RIGHT, { at: 20_200 }),
  ];
  assert.deepEqual(broken(again, PLANNED, [disturbance('worker-1#1', 15_000, 16_000)]), ['I3']);
});

test('I3: an agent whose callback was acknowledged is called again', () => {
  const again = [...submitted, called(1), callback(200), called(2, { at: 9_000 }), told('poll', RIGHT, { at: 9_100 })];
  const sent = { kind: 'callback-sent', id: ID, callback: 1, gave: RIGHT, at: 250 } as Sketch;
  assert.deepEqual(broken([...again, sent], PLANNED, [disturbance('temporal', 250, 8_000)]), ['I3']);
});

test('I3: a Retry-After that was not waited for', () => {
  const busy = answered(1, { how: '429', retryable: true, gave: undefined, notBefore: 5_000 });
  const sketches = [...submitted, called(1), busy, called(2), answered(2), told('poll')];
  assert.deepEqual(broken(sketches), ['I3']);
  // What came with an answer that Temporal could not be told of is not known.
  assert.deepEqual(broken(sketches, PLANNED, [disturbance('temporal', 0, 310)]), []);
});

test('I4: a webhook that is flawed, early, or under another id', () => {
  const ended = [...happy, told('webhook')];
  const withLog = (...more: Sketch[]) => broken([...ended, ...more], WITH_WEBHOOK);
  assert.deepEqual(withLog(arrived(1, { flaws: ['signature'] }), took(), attemptLog(204)), ['I4']);
  const early = { kind: 'webhook-read', delivery: 1, found: 'not-in-history' } as Sketch;
  assert.deepEqual(withLog(arrived(), early, took(), attemptLog(204)), ['I4']);
  const other = arrived(2, { webhookId: 'dlv_other' });
  assert.deepEqual(withLog(arrived(), took(1, 500), other, took(2), attemptLog(500, 204)), ['I4']);
  assert.deepEqual(withLog(arrived(), { kind: 'redirect-followed' } as Sketch, took(), attemptLog(204)), ['I4']);
  assert.deepEqual(withLog(arrived(), took(), { kind: 'answer-drained', bytes: 3e7 } as Sketch, attemptLog(204)), [
    'I4',
  ]);
});

test('I4: a delivery that was given up too soon, or went on too long', () => {
  const ended = [...happy, told('webhook')];
  assert.deepEqual(broken([...happy, attemptLog()], WITH_WEBHOOK), ['I4']);
  assert.deepEqual(broken([...ended, arrived(), took(1, 500), attemptLog(500)], WITH_WEBHOOK), ['I4']);
  const goes = [...ended, arrived(), took(1, 410), arrived(2), took(2, 204), attemptLog(410, 204)];
  assert.deepEqual(broken(goes, WITH_WEBHOOK), ['I4']);
  const twice = [...ended, arrived(), took(), arrived(2), took(2), attemptLog(204, 204)];
  assert.deepEqual(broken(twice, WITH_WEBHOOK), ['I4']);
  assert.deepEqual(broken(twice, WITH_WEBHOOK, [disturbance('worker-1#1', 750, 900)]), []);
});

test('I4: a log that is not what the receiver saw', () => {
  const ended = [...happy, told('webhook'), arrived(), took(1, 500), arrived(2), took(2)];
  assert.deepEqual(broken([...ended, attemptLog(500, 204)], WITH_WEBHOOK), []);
  assert.deepEqual(broken([...ended, attemptLog(204)], WITH_WEBHOOK), ['I4']);
  assert.deepEqual(
    broken([...ended, attemptLog(null, 204)], WITH_WEBHOOK),
    ['I4'],
    'it was answered, and nothing was wrong',
  );
  assert.deepEqual(broken([...ended, attemptLog(null, 204)], WITH_WEBHOOK, [disturbance('temporal', 700, 800)]), []);
});

test('I5: channels that differ', () => {
  const also = { kind: 'callback-sent', id: ID, callback: 1, gave: WRONG } as Sketch;
  assert.deepEqual(broken([...submitted, called(), answered(), also, told('temporal'), told('poll', WRONG)]), ['I5']);
});

test('I5: who was told by webhook and asks finds it still running', () => {
  const open = { kind: 'told-open', id: ID, channel: 'receiver-poll', askedAt: 9_000, status: 'running' } as Sketch;
  assert.deepEqual(broken([...happy, told('webhook'), arrived(), open, took(), attemptLog(204)], WITH_WEBHOOK), ['I5']);
});

test('I5: an end that nobody gave', () => {
  const ends = (outcome: object, planned = PLANNED) =>
    broken([...submitted, called(), answered(), told('poll', outcome)], planned);
  assert.deepEqual(ends(WRONG), ['I5']);
  assert.deepEqual(ends({ status: 'failed', error: 'agent unreachable: ECONNREFUSED' }), ['I5']);
  assert.deepEqual(ends({ status: 'cancelled', error: 'Execution cancelled' }), ['I5']);
  assert.deepEqual(ends({ status: 'timeout', error: 'Agent timeout' }), ['I5']);
  assert.deepEqual(ends({ status: 'timeout', error: 'Agent timeout' }, { ...PLANNED, timeoutMs: 300 }), []);
  assert.deepEqual(ends({ status: 'terminated' }), ['I5']);
});

test('I5: an end other than the one that the agent was told is recorded', () => {
  const sent = { kind: 'callback-sent', id: ID, callback: 1, gave: WRONG } as Sketch;
  assert.deepEqual(broken([...submitted, called(), answered(), sent, callback(200, WRONG), told('poll')]), ['I5']);
});

test('I5: a cancel that was acknowledged and had no effect', () => {
  const cancelled = { kind: 'cancel-answered', id: ID, sentAt: 200, status: 202 } as Sketch;
  const late = [answered(1, { at: 9_000 }), told('poll', RIGHT, { at: 9_100 })];
  assert.deepEqual(broken([...submitted, called(), cancelled, ...late]), ['I5']);
});

test('I5: an HTTP status that does not fit the end', () => {
  const sync = { kind: 'submit-answered', try: 1, sentAt: 0, status: 504, id: ID, retryAfter: false } as Sketch;
  assert.deepEqual(broken([...submitted, called(), answered(), sync, told('sync')]), ['I5']);
});

test('I6: a secret that shows', () => {
  assert.deepEqual(broken([...happy, { kind: 'secret-seen', where: 'history' } as Sketch]), ['I6']);
});

test('LIVE: an execution that does not end', () => {
  assert.deepEqual(broken([...submitted, { kind: 'still-open', id: ID, status: 'running' } as Sketch]), ['LIVE']);
});

test('REFUSAL: 503 only with Retry-After, and only while Temporal is away', () => {
  const away = [disturbance('temporal', 0, 900)];
  const poll = (...more: [number, string, boolean?]) => [...happy, refused('poll', ...more)];
  assert.deepEqual(broken(poll(503, 'temporal_unavailable'), PLANNED, away), []);
  assert.deepEqual(broken(poll(503, 'temporal_unavailable', false), PLANNED, away), ['REFUSAL']);
  const calm = { ...refused('poll', 503, 'temporal_unavailable'), sentAt: 550 } as Sketch;
  assert.deepEqual(broken([...happy, calm]), ['REFUSAL']);
  assert.deepEqual(broken(poll(500, 'internal_error'), PLANNED, away), ['REFUSAL']);
  assert.deepEqual(broken(poll(404, 'execution_not_found'), PLANNED, away), ['I1']);
});

test('REFUSAL: a request that was not answered although nothing was wrong', () => {
  const cut = { kind: 'submit-cut', try: 1, sentAt: 0, why: 'ECONNRESET' } as Sketch;
  const sent = { kind: 'submit-sent', try: 1, api: 'api-1' } as Sketch;
  assert.deepEqual(broken([sent, cut]), ['REFUSAL']);
  assert.deepEqual(broken([sent, cut], PLANNED, [disturbance('link:client-api', 0, 50)]), []);
});

test('REFUSAL: an agent that says again what is recorded is told of a conflict', () => {
  assert.deepEqual(broken([...happy, callback(409)]), ['REFUSAL']);
});

test('I5: who has no time for another call ends with what the last one brought, a 4xx passed on', () => {
  const planned: PlannedExecution = { ...PLANNED, way: 'sync', timeoutMs: 4_000 };
  const busy = { status: 'failed', error: 'agent error (429): no body' };
  const answer = (status: number): Sketch =>
    ({ kind: 'submit-answered', try: 1, sentAt: 0, status, id: ID, retryAfter: false }) as Sketch;
  const run = (notBefore: number, status: number) => [
    { kind: 'submit-sent', try: 1, api: 'api-1' } as Sketch,
    called(),
    answered(1, { at: 2_000, how: '429', retryable: true, gave: undefined, notBefore }),
    answer(status),
    told('sync', busy),
    told('temporal', busy),
  ];
  assert.deepEqual(broken(run(4_500, 429), planned), []);
  assert.deepEqual(broken(run(2_500, 429), planned), ['I5'], 'there was time');
  assert.deepEqual(broken(run(4_500, 502), planned), ['I5'], 'the status is not passed on');
});

test('I7: a log with a gap, that reads otherwise elsewhere, or lacks or repeats what the agent was told is in it', () => {
  const has = { steps: ['s1'] };
  const step = (name: string, status = 200): Sketch =>
    ({ kind: 'event-answered', id: ID, step: name, status }) as Sketch;
  assert.deepEqual(broken([...happy, step('s1'), step('s2', 503), log(has), log({ ...has, channel: 'pages' })]), []);
  assert.deepEqual(broken([...happy, log({ flaws: ['4 follows 2'] })]), ['I7']);
  assert.deepEqual(broken([...happy, log(), log({ channel: 'pages', digest: 'e' })]), ['I7']);
  assert.deepEqual(broken([...happy, step('s2'), log(has)]), ['I7']);
  assert.deepEqual(broken([...happy, step('s1'), log({ steps: ['s1', 's1'] })]), ['I7']);
});
