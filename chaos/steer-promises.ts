import { disturbed, ON_ITS_WAY_MS, wasStopped } from './excuses.ts';
import { canonical, factsOf } from './ledger.ts';
import type { FactOf, Steer } from './ledger.ts';
import type { Case, Violation } from './promises.ts';

/** A call may be made without another look at what is recorded when it was due no longer ago than this. */
const TAKEN_UP_MS = 1_000;
const LAST_RECEIPTS = ['steer.applied', 'steer.rejected', 'steer.superseded'];

type Violate = (what: string) => void;

/** I8: messages, questions and pauses of one execution. */
export function checkSteering(one: Case): Violation[] {
  const violations: Violation[] = [];
  const violate = (what: string) => violations.push({ invariant: 'I8', n: one.planned.n, what });
  checkMessages(one, violate);
  checkQuestions(one, violate);
  checkPauses(one, violate);
  return violations;
}

function checkMessages({ facts, disturbances }: Case, violate: Violate): void {
  const sent = new Set(ofSteer(facts, 'message').map(({ detail }) => detail));
  const accepted = ofAnswers(facts, 'message').filter(({ status }) => status === 202);
  const taken = new Set(accepted.map(({ detail }) => detail));
  const seen = factsOf(facts, 'message-seen');
  const applied = factsOf(facts, 'message-applied');
  for (const { message, text, interrupt, control } of seen) {
    if (!sent.has(message)) violate(`the agent got ${message}, which nobody had sent`);
    else if (text !== message) violate(`the agent got ${message} with another text`);
    if (interrupt && control === 'continue') violate(`${message} interrupts, and the agent was told to continue`);
  }
  const [log] = factsOf(facts, 'log');
  if (!log) return;
  const timesOf = (message: string, ...kinds: string[]) =>
    log.talk.filter((entry) => kinds.some((kind) => entry === `${kind} ${message}`)).length;
  for (const message of sent) {
    const times = timesOf(message, 'steer.accepted');
    if (times === 0 && taken.has(message)) violate(`${message} was answered 202, and is not in the log`);
    if (times > 1) violate(`${message} is in the log ${times} times`);
    const last = timesOf(message, ...LAST_RECEIPTS);
    if (last !== times) violate(`${message} was accepted ${times} times and has ${last} last receipts`);
    if (timesOf(message, 'steer.applied') > 0 && !applied.some((said) => said.message === message))
      violate(`the log has ${message} as applied, and the agent had not said so`);
    if (timesOf(message, 'steer.delivered') > 0 && !seen.some((got) => got.message === message) && !mayBeLost())
      violate(`the log has ${message} as delivered, and the agent did not get it`);
  }
  for (const { message, status } of factsOf(facts, 'applied-answered'))
    if (status === 200 && timesOf(message, 'steer.applied') === 0)
      violate(`the agent was told that it is recorded that ${message} is applied, and it is not`);

  /** Whether the answer that a message came with may have got lost, and the end have come before the next. */
  function mayBeLost(): boolean {
    const [called] = factsOf(facts, 'agent-called');
    const [told] = factsOf(facts, 'told');
    if (told?.outcome.status !== 'succeeded') return true;
    const whats = ['link:agent-api', 'api', 'temporal', 'link:api-temporal', 'worker'];
    return disturbed(disturbances, whats, called?.at ?? 0, told.at) !== undefined;
  }
}

function checkQuestions({ planned, facts }: Case, violate: Violate): void {
  const asked = factsOf(facts, 'agent-asked');
  const resumed = factsOf(facts, 'agent-resumed');
  const [log] = factsOf(facts, 'log');
  for (const { call, turn, input, checkpoint } of resumed) {
    const left = asked.find((question) => question.turn === turn - 1);
    if (input !== canonical({ n: planned.n })) violate(`call ${call} got another input`);
    if (checkpoint !== left?.checkpoint) violate(`call ${call} got ${checkpoint}, not the checkpoint that was left`);
  }
  const turns = new Set(asked.map(({ turn }) => turn));
  for (const turn of turns) checkDecisions(turn);
  const waits = log?.talk.filter((entry) => entry === 'waiting').length ?? 0;
  if (waits > turns.size)
    violate(`the execution has waited ${waits} times, the agent had asked in ${turns.size} turns`);

  /** Of those who answered the question of a turn one is told so, and that is what the agent gets. */
  function checkDecisions(turn: number): void {
    const offered = ofSteer(facts, 'approval').filter(({ question }) => question === turn);
    const answers = ofAnswers(facts, 'approval').filter(({ question }) => question === turn);
    const recorded = new Set(answers.filter(({ status }) => status === 200).map(({ detail }) => detail));
    const got = new Set(resumed.filter((one) => one.turn === turn + 1).map(({ decision }) => decision));
    const logged = log?.talk.filter((entry) => entry.startsWith('answered '))[turn - 1];
    if (recorded.size > 1)
      violate(`in turn ${turn} clients were told of each of ${[...recorded].join(', ')} that it is recorded`);
    if (got.size > 1) violate(`calls of turn ${turn + 1} got different answers: ${[...got].join(', ')}`);
    for (const decision of recorded) {
      if ([...got].some((other) => other !== decision))
        violate(`in turn ${turn} the client was told that ${decision} is recorded, the agent got something else`);
      if (log && logged !== `answered ${decision}`)
        violate(`in turn ${turn} the client was told that ${decision} is recorded, and it is not in the log`);
    }
    for (const { at, detail, code } of answers) {
      // The same again is no news.
      const reasons = [...ofSteer(facts, 'pause'), ...offered.filter((sent) => sent.detail !== detail)];
      if (code === 'not_waiting' && !reasons.some((sent) => sent.at < at))
        violate(`${detail} for turn ${turn} was refused, and nobody had paused, or answered otherwise`);
    }
    for (const decision of got) {
      if (logged !== undefined && logged !== `answered ${decision}`)
        violate(`the log has ${logged} for turn ${turn}, the agent got ${decision}`);
      const sent = offered.filter(({ detail }) => detail === decision);
      const told = answers.filter(({ detail, status }) => detail === decision && status < 500);
      if (sent.length === 0) violate(`the agent got ${decision} for turn ${turn}, which nobody had decided`);
      // Where an answer got lost, or did not know yet, who sent it again may have come too late.
      else if (!recorded.has(decision) && told.length === sent.length)
        violate(`the agent got ${decision} for turn ${turn}, and whoever had decided that was refused`);
    }
  }
}

/** Nobody calls an agent anew from when a pause was acknowledged until somebody asks to go on. */
function checkPauses({ facts, disturbances }: Case, violate: Violate): void {
  const resumes = ofSteer(facts, 'resume');
  const [log] = factsOf(facts, 'log');
  for (const pause of ofAnswers(facts, 'pause')) {
    if (pause.status !== 200) continue;
    if (log && !log.talk.includes('paused')) violate('a pause was answered 200, and is not in the log');
    const from = pause.at + TAKEN_UP_MS + ON_ITS_WAY_MS;
    const to = resumes.find(({ at }) => at > pause.at)?.at ?? Infinity;
    for (const call of factsOf(facts, 'agent-called')) {
      if (call.at < from || call.at > to) continue;
      const isLate = disturbed(disturbances, ['link:worker-agent'], pause.at, call.at);
      if (!isLate && !wasStopped(disturbances, call)) violate(`call ${call.call} came while the execution was paused`);
    }
  }
}

function ofSteer(facts: Case['facts'], what: Steer): FactOf<'steer-sent'>[] {
  return factsOf(facts, 'steer-sent').filter((sent) => sent.what === what);
}

function ofAnswers(facts: Case['facts'], what: Steer): FactOf<'steer-answered'>[] {
  return factsOf(facts, 'steer-answered').filter((one) => one.what === what);
}
