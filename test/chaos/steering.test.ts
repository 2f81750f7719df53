import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  answered,
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
} from './sketches.ts';
import type { Sketch } from './sketches.ts';

const ASKS = { ...PLANNED, agent: 'ask' as const };
const LEFT = '{"step":3}';
const CANCELLED = { status: 'cancelled' };

const fact = (kind: string, more: object): Sketch => ({ kind, id: ID, ...more }) as unknown as Sketch;
const steer = (what: string, detail = '', more: object = {}) => fact('steer-sent', { what, detail, ...more });
const taken = (what: string, status: number, detail = '', more: object = {}) =>
  fact('steer-answered', { what, detail, sentAt: 0, status, ...more });
const seen = (message: string, more: object = {}) =>
  fact('message-seen', { message, text: message, interrupt: false, control: 'continue', ...more });
const applied = (message: string, status: number): Sketch[] => [
  fact('message-applied', { message }),
  fact('applied-answered', { message, status }),
];
const talk = (...entries: string[]) => log({ talk: entries });
const asked = (turn = 1, more: object = {}) => fact('agent-asked', { call: turn, turn, checkpoint: LEFT, ...more });
const resumed = (more: object = {}) =>
  fact('agent-resumed', { call: 2, turn: 2, input: '{"n":0}', checkpoint: LEFT, decision: 'yes', ...more });

const question = answered(1, { how: 'question', gave: undefined });
const decides = (decision: string, question = 1): Sketch => steer('approval', decision, { question });
const told200 = (decision: string, question = 1): Sketch => taken('approval', 200, decision, { question });
const refused409 = (decision: string, question = 1): Sketch =>
  taken('approval', 409, decision, { question, code: 'not_waiting' });
const approved = [decides('yes'), told200('yes')];
const second = called(2, { turn: 2 });
const ends = [answered(2), told('temporal'), told('poll')];
const conversation = talk('waiting', 'answered yes');

test('a conversation in which all went well breaks nothing', () => {
  const all = [...submitted, called(), asked(), question, ...approved, second, resumed(), ...ends, conversation];
  assert.deepEqual(broken(all, ASKS), []);
  const waiting = { status: 'waiting' };
  const byCallback = [...submitted, called(), asked(), callback(200, waiting), ...approved, second, resumed()];
  const end = callback(200, RIGHT, { turn: 2 });
  assert.deepEqual(broken([...byCallback, end, ...ends, conversation], ASKS), []);
});

test('I3: a turn begins that nobody had asked for, or answered', () => {
  const without = (...left: Sketch[]) => {
    const all = [...submitted, called(), asked(), question, ...approved, second, resumed(), ...ends];
    return broken(
      all.filter((one) => !left.includes(one)),
      ASKS,
    );
  };
  assert.deepEqual(without(), []);
  const [sent] = approved;
  assert.ok(sent);
  assert.ok(without(sent).includes('I3'));
  const unasked = [...submitted, called(), question, ...approved, second, ...ends];
  assert.deepEqual(broken(unasked, ASKS), ['I3']);
});

test('I3: each turn is one call; a call of a turn that is over comes from a worker that was stopped', () => {
  const begun = [...submitted, called(), asked(), question, ...approved, second, resumed()];
  const again = called(3, { turn: 2, at: 5_000 });
  assert.deepEqual(broken([...begun, answered(2), again, ...ends], ASKS), ['I3']);
  const failed = answered(2, { how: '500', retryable: true, gave: undefined });
  assert.deepEqual(broken([...begun, failed, again, answered(3), told('poll')], ASKS), []);
  const old = called(3, { at: 9_000, caller: 'worker-1#1' });
  assert.deepEqual(broken([...begun, old, ...ends], ASKS), ['I3']);
  const stopped = { ...disturbance('worker-1#1', 200, 8_900), how: 'stopped' as const };
  assert.deepEqual(broken([...begun, old, ...ends], ASKS, [stopped]), []);
});

test('I8: a turn begins with another checkpoint, input or decision', () => {
  const begins = (more: object) =>
    broken([...submitted, called(), asked(), question, ...approved, second, resumed(more), ...ends], ASKS);
  assert.deepEqual(begins({}), []);
  assert.deepEqual(begins({ checkpoint: 'null' }), ['I8']);
  assert.deepEqual(begins({ input: '{"n":1}' }), ['I8']);
  assert.deepEqual(begins({ decision: 'undefined' }), ['I8']);
});

test('I8: two decisions are told as recorded, or one that is not in the log', () => {
  const all = (...said: Sketch[]) => [...submitted, called(), asked(), question, ...said, second, resumed(), ...ends];
  assert.deepEqual(broken(all(...approved, decides('no'), told200('no')), ASKS), ['I8']);
  assert.deepEqual(broken(all(...approved, decides('no'), refused409('no')), ASKS), []);
  assert.deepEqual(broken([...all(...approved), talk('waiting')], ASKS), ['I8']);
  assert.deepEqual(broken([...all(...approved), talk('waiting', 'answered no')], ASKS), ['I8']);
  const ended = [...submitted, called(), asked(), question, told('poll', CANCELLED), fact('cancel-sent', { at: 0 })];
  assert.ok(broken([...ended, ...approved, decides('no'), told200('no')], ASKS).includes('I8'), 'no turn has begun');
});

test('I8: whoever decided what the agent got is refused, unless the answer that said yes got lost', () => {
  const all = (...said: Sketch[]) => [...submitted, called(), asked(), question, ...said, second, resumed(), ...ends];
  const other = [decides('no'), refused409('no')];
  assert.deepEqual(broken(all(decides('yes'), ...other, refused409('yes')), ASKS), ['I8']);
  assert.deepEqual(broken(all(decides('yes'), ...other, decides('yes'), refused409('yes')), ASKS), []);
  const unknown = taken('approval', 503, 'yes', { question: 1, code: 'temporal_unavailable' });
  assert.deepEqual(broken(all(decides('yes'), unknown, ...other, decides('yes'), refused409('yes')), ASKS), []);
});

test('I8: an answer is refused, and there was no other one, and no pause', () => {
  const all = (...said: Sketch[]) => [...submitted, called(), asked(), question, ...said, second, resumed(), ...ends];
  assert.deepEqual(broken(all(decides('yes'), refused409('yes'), ...approved), ASKS), ['I8']);
  assert.deepEqual(broken(all(steer('pause'), decides('yes'), refused409('yes'), ...approved), ASKS), []);
});

test('I8: each question has its own answer', () => {
  const left = '{"step":4}';
  const first = [...submitted, called(), asked(), question, ...approved, second, resumed()];
  const again = [asked(2, { checkpoint: left }), answered(2, { how: 'question', gave: undefined })];
  const third = (decision: string) => [
    called(3, { turn: 3 }),
    resumed({ call: 3, turn: 3, checkpoint: left, decision }),
    answered(3),
    told('poll'),
  ];
  const no = [decides('no', 2), told200('no', 2)];
  const whole = talk('waiting', 'answered yes', 'waiting', 'answered no');
  assert.deepEqual(broken([...first, ...again, ...no, ...third('no'), whole], ASKS), []);
  assert.deepEqual(broken([...first, ...again, ...no, ...third('yes'), whole], ASKS), ['I8']);
  const late = [decides('no', 1), refused409('no', 1)];
  assert.deepEqual(broken([...first, ...again, ...late, ...third('no')], ASKS), ['I3', 'I8']);
});

test('I8: an execution waits again for what the agent has asked once', () => {
  const all = [...submitted, called(), asked(), question, ...approved, second, resumed(), ...ends];
  assert.deepEqual(broken([...all, talk('waiting', 'answered yes', 'waiting')], ASKS), ['I8']);
});

test('I8: a message that was taken is not in the log, is there twice, or has no last receipt', () => {
  const run = (...entries: string[]) =>
    broken([...happy, steer('message', 'm'), taken('message', 202, 'm'), talk(...entries)]);
  assert.deepEqual(run('steer.accepted m', 'steer.rejected m'), []);
  assert.deepEqual(run(), ['I8']);
  assert.deepEqual(run('steer.accepted m'), ['I8']);
  assert.deepEqual(run('steer.accepted m', 'steer.accepted m', 'steer.rejected m'), ['I8']);
  assert.deepEqual(run('steer.accepted m', 'steer.rejected m', 'steer.superseded m'), ['I8']);
  assert.deepEqual(broken([...happy, steer('message', 'm'), talk()]), [], 'nobody was told that it is recorded');
});

test('I8: the log says of a message what the agent did not see or say, or lacks what it said', () => {
  const sent = [...happy, steer('message', 'm'), taken('message', 202, 'm')];
  const whole = talk('steer.accepted m', 'steer.delivered m', 'steer.applied m');
  assert.deepEqual(broken([...sent, seen('m'), ...applied('m', 200), whole]), []);
  assert.deepEqual(broken([...sent, seen('m'), whole]), ['I8']);
  assert.deepEqual(broken([...sent, seen('m'), ...applied('m', 200), talk('steer.accepted m', 'steer.rejected m')]), [
    'I8',
  ]);
  const lost = [...sent, talk('steer.accepted m', 'steer.delivered m', 'steer.rejected m')];
  assert.deepEqual(broken(lost), ['I8']);
  assert.deepEqual(broken(lost, PLANNED, [disturbance('link:agent-api', 250, 300)]), []);
});

test('I8: the agent gets a message that nobody sent, or another text, or is not held by one that interrupts', () => {
  const got = (more: object) => broken([...happy, steer('message', 'm'), seen('m', more)]);
  assert.deepEqual(got({}), []);
  assert.deepEqual(got({ message: 'other', text: 'other' }), ['I8']);
  assert.deepEqual(got({ text: 'other' }), ['I8']);
  assert.deepEqual(got({ interrupt: true }), ['I8']);
  assert.deepEqual(got({ interrupt: true, control: 'hold' }), []);
});

test('I8: an agent is called while its execution is paused', () => {
  const busy = answered(1, { how: '500', retryable: true, gave: undefined });
  const run = (at: number, resumedAt: number) => [
    ...submitted,
    called(),
    busy,
    steer('pause', '', { at: 400 }),
    taken('pause', 200, '', { at: 500 }),
    called(2, { at, caller: 'worker-2#1' }),
    steer('resume', '', { at: resumedAt }),
    answered(2, { at: 9_000 }),
    told('poll', RIGHT, { at: 9_100 }),
  ];
  assert.deepEqual(broken(run(8_100, 8_000)), []);
  assert.deepEqual(broken(run(5_000, 8_000)), ['I8']);
  assert.deepEqual(broken(run(1_200, 8_000)), [], 'it was on its way');
  const stopped = { ...disturbance('worker-2#1', 300, 4_900), how: 'stopped' as const };
  assert.deepEqual(broken(run(5_000, 8_000), PLANNED, [stopped]), []);
  assert.deepEqual(broken([...run(8_100, 8_000), talk('paused', 'resumed')]), []);
  assert.deepEqual(broken([...run(8_100, 8_000), talk()]), ['I8']);
});

test('REFUSAL: what comes too late is refused, and a resume only where nothing is paused any more', () => {
  for (const to of ['message', 'pause', 'resume', 'approval', 'event'])
    assert.deepEqual(broken([...happy, refused(to, 409, 'execution_finished')]), []);
  assert.deepEqual(broken([...happy, refused('event', 400, 'invalid_request')]), ['REFUSAL']);
  assert.deepEqual(broken([...happy, refused('callback', 409, 'turn_over')]), ['REFUSAL']);
  const paused = [...happy, taken('pause', 200), steer('resume')];
  assert.deepEqual(broken([...paused, refused('resume', 409, 'not_paused')]), ['REFUSAL']);
  assert.deepEqual(broken([...paused, steer('resume'), refused('resume', 409, 'not_paused')]), []);
});
