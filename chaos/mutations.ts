import { AGENT_MUTATIONS } from './agent-mutations.ts';
import { LOG_MUTATIONS } from './log-mutations.ts';
import type { Invariant } from './promises.ts';
import { STEER_MUTATIONS } from './steer-mutations.ts';
import { WEBHOOK_MUTATIONS } from './webhook-mutations.ts';

/** A protection taken out of Perdure's code, and the run that has to notice. */
export interface Mutation {
  name: string;
  /** What is taken out, for people. */
  what: string;
  file: string;
  /** Exact texts, each of which stands in its file exactly once, and what they become. */
  edits: { find: string; replace: string; file?: string }[];
  /** As for `--faults`. */
  faults: string;
  caughtBy: Invariant;
  rounds?: number;
  executions?: number;
}

const START_NOT_AWAITED: Mutation['edits'] = [
  {
    find: 'const started = await deps.executions.start(executionId, input);',
    replace: `void deps.executions.start(executionId, input).catch(() => undefined);
    const started = 'started' as 'started' | 'existing';`,
  },
];

const DUPLICATE_REFUSED: Mutation['edits'] = [
  {
    find: 'if (first.status === word.status && sameResult &&',
    replace: 'if (first.status === word.status && sameResult && !isOver(state) &&',
  },
];

const OUTAGE_IS_500: Mutation['edits'] = [
  {
    find: 'return code === GRPC.UNAVAILABLE || code === GRPC.DEADLINE_EXCEEDED || code === GRPC.RESOURCE_EXHAUSTED;',
    replace: 'return code === GRPC.RESOURCE_EXHAUSTED;',
  },
];

const SECOND_CALLBACK_OVERWRITES: Mutation['edits'] = [
  { find: 'if (state.callback || !(callback.turn', replace: 'if (!(callback.turn' },
  {
    file: 'api/agent-words.ts',
    find: 'if (wordOf(before) || turn',
    replace: 'if (before.outcome || turn',
  },
];

export const MUTATIONS: Mutation[] = [
  {
    name: 'start-not-awaited',
    what: 'a submit is answered before Temporal has accepted the start',
    file: 'api/routes/execute.ts',
    edits: START_NOT_AWAITED,
    faults: 'kill-temporal@in-flight,cut:api-temporal',
    caughtBy: 'I1',
    rounds: 2,
  },
  {
    name: 'start-not-awaited-disk-full',
    what: 'the same, and the disk of Temporal is full',
    file: 'api/routes/execute.ts',
    edits: START_NOT_AWAITED,
    faults: 'disk-full',
    caughtBy: 'I1',
    rounds: 2,
  },
  {
    name: 'key-ignored',
    what: 'the execution id is not derived from the Idempotency-Key',
    file: 'api/routes/execute.ts',
    edits: [
      {
        find: 'const executionId = key === undefined ? newExecutionId() : executionIdOfKey(key);',
        replace: 'const executionId = newExecutionId();',
      },
    ],
    faults: 'cut:client-api,kill-api@submit-accepted,kill-api@sync-wait',
    caughtBy: 'I1',
    rounds: 2,
  },
  {
    name: 'callback-answered-first',
    what: 'a callback is answered 200 before its signal is sent',
    file: 'api/agent-words.ts',
    edits: [
      {
        find: 'const callbackId = randomUUID();',
        replace: `const callbackId = randomUUID();
    const late = () => client.workflow.getHandle(executionId).signal(agentCallbackSignal, { ...word, callbackId, turn });
    setTimeout(() => void late().catch(() => undefined), 1500);
    if (callbackId !== '') return get(executionId);`,
      },
    ],
    faults: 'agent:conflict,agent:race,kill-temporal@in-flight',
    caughtBy: 'I5',
  },
  {
    name: 'second-callback-overwrites',
    what: 'the first callback does not win',
    file: 'workflows/state.ts',
    edits: SECOND_CALLBACK_OVERWRITES,
    faults: 'agent:race,agent:conflict,delay:worker-temporal',
    caughtBy: 'I5',
    executions: 60,
    rounds: 3,
  },
  {
    name: 'second-callback-overwrites-blackhole',
    what: 'the same, while what the worker says to Temporal gets there late',
    file: 'workflows/state.ts',
    edits: SECOND_CALLBACK_OVERWRITES,
    faults: 'agent:race,agent:conflict,blackhole:worker-temporal',
    caughtBy: 'I5',
    executions: 60,
    rounds: 3,
  },
  {
    name: 'duplicate-refused',
    what: 'an agent that tells its end again is told of a conflict',
    file: 'api/agent-words.ts',
    edits: DUPLICATE_REFUSED,
    faults: 'agent:duplicate',
    caughtBy: 'REFUSAL',
  },
  {
    name: 'duplicate-refused-cut',
    what: 'the same, of one that never got its answer',
    file: 'api/agent-words.ts',
    edits: DUPLICATE_REFUSED,
    faults: 'cut:agent-api',
    caughtBy: 'REFUSAL',
    rounds: 6,
  },
  {
    name: 'conflict-told-as-taken',
    what: 'an agent whose word contradicts the recorded one is told 200',
    file: 'api/agent-words.ts',
    edits: [
      {
        find: "if (first.status === word.status && sameResult && word.status !== 'waiting') return state;",
        replace: 'if (sameResult || first) return state;',
      },
    ],
    faults: 'agent:conflict,agent:late',
    caughtBy: 'I5',
  },
  {
    name: 'sync-from-memory',
    what: 'a sync answer is made up by the API and not read from Temporal',
    file: 'api/routes/execute.ts',
    edits: [
      {
        find: 'if (closed?.outcome) return finished(c, closed, closed.outcome);',
        replace: `if (closed?.outcome) return finished(c, closed, closed.outcome);
      if (unfinished) return finished(c, state, outcomeOf(state, timeoutEnding(waitMs), new Date().toISOString()));`,
      },
    ],
    faults: 'none',
    caughtBy: 'I5',
  },
  {
    name: 'result-dropped',
    what: 'the result of the agent does not get into the outcome',
    file: 'workflows/turns.ts',
    edits: [
      {
        find: "return ended({ status: 'succeeded', result: said.result })",
        replace: "return { status: 'succeeded', result: answer.kind }",
      },
    ],
    faults: 'none',
    caughtBy: 'I5',
  },
  {
    name: 'end-forgotten',
    what: 'an execution that is over shows as running now and then',
    file: 'api/execution-view.ts',
    edits: [
      {
        find: '    status: state.status,\n    created_at: state.createdAt,\n    started_at',
        replace:
          "    status: Math.random() < 0.3 ? 'running' : state.status,\n    created_at: state.createdAt,\n    started_at",
      },
    ],
    faults: 'none',
    caughtBy: 'I2',
  },
  ...AGENT_MUTATIONS,
  {
    name: 'limit-forgotten',
    what: 'the time limit does not hold after a 202',
    file: 'workflows/time-limit.ts',
    edits: [{ find: 'timer = startTimer(Math.max(1, left(limitMs)), onPassed);', replace: '' }],
    faults: 'agent:silent',
    caughtBy: 'LIVE',
  },
  {
    name: 'limit-by-the-wrong-clock',
    what: "the time limit counts from the API's clock instead of Temporal's",
    file: 'workflows/run.ts',
    edits: [{ find: ': runStartedAt(),', replace: ': Date.parse(input.createdAt),' }],
    faults: 'skew-api,agent:silent,agent:hang',
    caughtBy: 'LIVE',
    rounds: 3,
    executions: 90,
  },
  {
    name: 'cancel-swallowed',
    what: 'a cancel is answered 202 and not passed on',
    file: 'api/executions.ts',
    edits: [{ find: 'await handle.cancel();', replace: '' }],
    faults: 'agent:silent',
    caughtBy: 'I5',
  },
  ...WEBHOOK_MUTATIONS,
  ...LOG_MUTATIONS,
  ...STEER_MUTATIONS,
  {
    name: 'url-in-history',
    what: 'the whole URL of a webhook stands beside the sealed one',
    file: 'api/routes/execute.ts',
    edits: [{ find: 'origin: new URL(webhook.url).origin', replace: 'origin: webhook.url' }],
    faults: 'none',
    caughtBy: 'I6',
  },
  {
    name: 'secret-in-log',
    what: 'the worker logs the headers it sends with a webhook',
    file: 'activities/deliver-webhook.ts',
    edits: [
      {
        find: 'const body = webhookPayload(delivery);',
        replace:
          "const body = webhookPayload(delivery);\n      log.info('delivering', { headers: usersHeaders(webhook) });",
      },
    ],
    faults: 'none',
    caughtBy: 'I6',
  },
  {
    name: 'outage-is-500',
    what: 'an outage of Temporal is answered 500',
    file: 'common/temporal-errors.ts',
    edits: OUTAGE_IS_500,
    faults: 'kill-temporal@random,cut:api-temporal',
    caughtBy: 'REFUSAL',
  },
  {
    name: 'outage-is-500-stop',
    what: 'the same, and Temporal has only stopped',
    file: 'common/temporal-errors.ts',
    edits: OUTAGE_IS_500,
    faults: 'stop-temporal',
    caughtBy: 'REFUSAL',
  },
];
