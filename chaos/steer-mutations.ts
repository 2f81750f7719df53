import type { Mutation } from './mutations.ts';

/** Protections of what is said between persons and agents. */
export const STEER_MUTATIONS: Mutation[] = [
  {
    name: 'message-answered-first',
    what: 'a message is answered 202 before Temporal has it',
    file: 'api/steering.ts',
    edits: [
      {
        find: 'const seen = await signalAndSee(executionId, send, isTaken);',
        replace: `setTimeout(() => void send().catch(() => undefined), 1500);
      if (id !== '') return { id, status: 'accepted', sequence: state.sequence + 1 };
      const seen = await signalAndSee(executionId, send, isTaken);`,
      },
    ],
    faults: 'kill-temporal@in-flight,cut:api-temporal,kill-api@steered',
    caughtBy: 'I8',
    rounds: 2,
    executions: 80,
  },
  {
    name: 'checkpoint-dropped',
    what: 'an agent goes on without the checkpoint that it left',
    file: 'workflows/turns.ts',
    edits: [{ find: '...(checkpoint !== undefined && { checkpoint }),\n        ...(answer', replace: '...(answer' }],
    faults: 'none',
    caughtBy: 'I8',
  },
  {
    name: 'pause-ignored',
    what: 'a call that failed is made again although the execution is paused',
    file: 'activities/call-agent.ts',
    edits: [
      { find: "if (recorded?.isHeld) return { kind: 'handed-back', attempts: number - 1 };", replace: '' },
      {
        find: "if (isHeld() && !isSilence(err)) return { kind: 'handed-back', attempts: 1 };",
        replace: '',
        file: 'workflows/agent-call.ts',
      },
    ],
    faults: 'agent:500-for-ever,agent:429',
    caughtBy: 'I8',
    executions: 90,
  },
  {
    name: 'question-of-any-turn',
    what: 'a question that comes late, or was asked again, counts for the turn at hand',
    file: 'workflows/state.ts',
    edits: [
      {
        find: '|| !(callback.turn === undefined || callback.turn === turnAtHand(state))',
        replace: '',
      },
    ],
    faults: 'agent:ask-again',
    caughtBy: 'I8',
  },
  {
    name: 'yes-to-everybody',
    what: 'of those who answer at once each is told 200',
    file: 'api/steering.ts',
    edits: [{ find: 'if (isOwn(seen, said, turn)) return seen;', replace: 'if (seen) return seen;' }],
    faults: 'agent:ask-two',
    caughtBy: 'I8',
  },
  {
    name: 'same-answer-refused',
    what: 'the same answer twice at once is two answers, of which one is refused',
    file: 'api/steering.ts',
    edits: [
      { find: 'const id = idOf(said);', replace: 'const id = String(Math.random());' },
      {
        find: 'if (isOwn(seen, said, turn)) return seen;',
        replace: 'if (seen.answered?.some((one) => one.id === id)) return seen;',
      },
    ],
    faults: 'none',
    caughtBy: 'I8',
    executions: 80,
  },
];
