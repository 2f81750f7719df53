import type { Invariant } from './promises.ts';
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

const SECOND_CALLBACK_OVERWRITES: Mutation['edits'] = [
  { find: 'state.callback ??= entry.callback;', replace: 'state.callback = entry.callback;' },
  {
    file: 'api/executions.ts',
    find: 'const word = before.outcome ?? before.callback;',
    replace: 'const word = before.outcome;',
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
    file: 'api/executions.ts',
    edits: [
      {
        find: 'const callbackId = randomUUID();\n      const handle = client.workflow.getHandle(executionId);',
        replace: `const callbackId = randomUUID();
      const handle = client.workflow.getHandle(executionId);
      setTimeout(() => void handle.signal(agentCallbackSignal, { ...ending, callbackId }).catch(() => undefined), 1500);
      if (callbackId !== '') return before;`,
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
    file: 'api/executions.ts',
    edits: [
      {
        find: 'if (first.status === again.status && sameResult) return state;',
        replace: 'if (first.status === again.status && sameResult && !isOver(state)) return state;',
      },
    ],
    faults: 'agent:duplicate',
    caughtBy: 'REFUSAL',
  },
  {
    name: 'conflict-told-as-taken',
    what: 'an agent whose word contradicts the recorded one is told 200',
    file: 'api/executions.ts',
    edits: [
      {
        find: 'if (first.status === again.status && sameResult) return state;',
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
    file: 'workflows/execute-target.ts',
    edits: [
      {
        find: "return { status: 'succeeded', result: answer.result }",
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
  {
    name: 'refusal-retried',
    what: "an agent's 4xx counts as a reason to call it again",
    file: 'activities/agent-failure.ts',
    edits: [{ find: 'status === 429 || status >= 500', replace: 'status >= 400' }],
    faults: 'agent:refuse',
    caughtBy: 'I3',
  },
  {
    name: '500-not-retried',
    what: "an agent's 5xx is its last word",
    file: 'activities/agent-failure.ts',
    edits: [{ find: 'status === 429 || status >= 500', replace: 'status === 429' }],
    faults: 'agent:500',
    caughtBy: 'I5',
  },
  {
    name: 'unreachable-not-retried',
    what: 'an agent that refuses connections is not called again',
    file: 'activities/agent-failure.ts',
    edits: [{ find: "  'ECONNREFUSED',\n", replace: '' }],
    faults: 'cut:worker-agent',
    caughtBy: 'I5',
    rounds: 3,
  },
  {
    name: 'crash-not-retried',
    what: 'an agent that breaks the connection off is not called again',
    file: 'activities/agent-failure.ts',
    edits: [{ find: "  'UND_ERR_SOCKET',\n", replace: '' }],
    faults: 'agent:crash',
    caughtBy: 'I5',
  },
  {
    name: 'broken-stream-not-retried',
    what: 'a stream without an end fails the execution',
    file: 'activities/agent-failure.ts',
    edits: [
      {
        find: "category: 'agent_unreachable' }, { retryable: true }),\n\n  unknownNode",
        replace: "category: 'agent_unreachable' }, { retryable: false }),\n\n  unknownNode",
      },
    ],
    faults: 'agent:broken-stream',
    caughtBy: 'I5',
  },
  {
    name: 'agent-retry-after-ignored',
    what: "an agent's Retry-After is not honoured",
    file: 'activities/agent-failure.ts',
    edits: [
      { find: '...(nextRetryDelayMs !== undefined && { nextRetryDelay: nextRetryDelayMs }),', replace: '' },
      {
        find: 'details: [failure, ...(nextRetryDelayMs === undefined ? [] : [nextRetryDelayMs])],',
        replace: 'details: [failure],',
      },
    ],
    faults: 'agent:429',
    caughtBy: 'I3',
  },
  {
    name: 'accepted-still-held',
    what: 'a 202 does not end the agent call, so the death of its worker repeats it',
    file: 'activities/agent-answer.ts',
    edits: [
      { find: "return { kind: 'accepted' };", replace: 'return await new Promise<never>(() => undefined);' },
      {
        find: 'if (number > 1 && (await isCallbackRecorded(Context.current())))',
        replace: 'if (number < 0 && (await isCallbackRecorded(Context.current())))',
        file: 'activities/call-agent.ts',
      },
    ],
    faults: 'kill-worker@acknowledged-long-ago',
    caughtBy: 'I3',
    rounds: 4,
    executions: 160,
  },
  {
    name: 'handed-over-called-again',
    what: 'a call that takes longer than the patience is made again instead of being followed',
    file: 'activities/call-agent.ts',
    edits: [
      { find: 'const opened = held.take(executionId);', replace: 'const opened = held.take(`not ${executionId}`);' },
    ],
    faults: 'agent:hang',
    caughtBy: 'I3',
    executions: 60,
  },
  {
    name: 'no-heartbeat',
    what: 'a worker that dies during a call is never noticed',
    file: 'workflows/agent-call.ts',
    edits: [{ find: 'heartbeatTimeout: heartbeatTimeoutMs,', replace: '' }],
    faults: 'kill-worker@agent-called,stop-worker,kill-worker@random',
    caughtBy: 'LIVE',
    rounds: 2,
  },
  {
    name: 'limit-forgotten',
    what: 'the time limit does not hold after a 202',
    file: 'workflows/execute-target.ts',
    edits: [
      {
        find: 'else if (!(await condition(isCalledBack, Math.max(1, remainingMs(timeoutMs))))) return timeoutEnding(timeoutMs);',
        replace: 'else await condition(isCalledBack);',
      },
    ],
    faults: 'agent:silent',
    caughtBy: 'LIVE',
  },
  {
    name: 'limit-by-the-wrong-clock',
    what: "the time limit counts from the API's clock instead of Temporal's",
    file: 'workflows/execute-target.ts',
    edits: [{ find: 'workflowInfo().startTime.getTime() + limitMs', replace: 'Date.parse(input.createdAt) + limitMs' }],
    faults: 'skew-api,agent:silent,agent:hang',
    caughtBy: 'LIVE',
    rounds: 3,
    executions: 90,
  },
  {
    name: 'cancel-swallowed',
    what: 'a cancel is answered 202 and not passed on',
    file: 'api/executions.ts',
    edits: [{ find: 'await client.workflow.getHandle(executionId).cancel();', replace: '' }],
    faults: 'agent:silent',
    caughtBy: 'I5',
  },
  ...WEBHOOK_MUTATIONS,
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
    file: 'api/temporal-errors.ts',
    edits: [
      {
        find: 'return code === GRPC.UNAVAILABLE || code === GRPC.DEADLINE_EXCEEDED || code === GRPC.RESOURCE_EXHAUSTED;',
        replace: 'return code === GRPC.RESOURCE_EXHAUSTED;',
      },
    ],
    faults: 'kill-temporal@random,cut:api-temporal,stop-temporal',
    caughtBy: 'REFUSAL',
  },
];
