import type { Invariant } from './promises.ts';

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

export const MUTATIONS: Mutation[] = [
  {
    name: 'start-not-awaited',
    what: 'a submit is answered before Temporal has accepted the start',
    file: 'api/routes/execute.ts',
    edits: [
      {
        find: 'const started = await deps.executions.start(executionId, input);',
        replace: `void deps.executions.start(executionId, input).catch(() => undefined);
    const started = 'started' as 'started' | 'existing';`,
      },
    ],
    faults: 'kill-temporal@in-flight,cut:api-temporal',
    caughtBy: 'I1',
    rounds: 2,
  },
  {
    name: 'start-not-awaited-disk-full',
    what: 'the same, and the disk of Temporal is full',
    file: 'api/routes/execute.ts',
    edits: [
      {
        find: 'const started = await deps.executions.start(executionId, input);',
        replace: `void deps.executions.start(executionId, input).catch(() => undefined);
    const started = 'started' as 'started' | 'existing';`,
      },
    ],
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
    edits: [
      { find: 'state.callback ??= entry.callback;', replace: 'state.callback = entry.callback;' },
      {
        file: 'api/executions.ts',
        find: 'const word = before.outcome ?? before.callback;',
        replace: 'const word = before.outcome;',
      },
    ],
    faults: 'agent:race,agent:conflict,delay:worker-temporal',
    caughtBy: 'I5',
    executions: 60,
    rounds: 3,
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
    rounds: 2,
    executions: 60,
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
  {
    name: 'webhook-early',
    what: 'the webhook is sent by a local activity, whose input is not in history',
    file: 'workflows/delivery.ts',
    edits: [
      {
        find: 'ApplicationFailure, proxyActivities }',
        replace: 'ApplicationFailure, proxyLocalActivities as proxyActivities }',
      },
    ],
    faults: 'none',
    caughtBy: 'I4',
  },
  {
    name: 'webhook-not-retried',
    what: 'a webhook is tried once',
    file: 'workflows/delivery.ts',
    edits: [
      {
        find: 'maximumAttempts: policy.maximumAttempts,\n      initialInterval',
        replace: 'maximumAttempts: 1,\n      initialInterval',
      },
    ],
    faults: 'receiver:500,receiver:reset,receiver:slow-loris,cut:worker-receiver',
    caughtBy: 'I4',
  },
  {
    name: 'no-webhook-for-cancelled',
    what: 'a cancelled execution sends no webhook',
    file: 'workflows/delivery.ts',
    edits: [
      {
        find: 'if (!outcome || !webhook) return false;',
        replace: "if (!outcome || !webhook || outcome.status === 'cancelled') return false;",
      },
    ],
    faults: 'agent:hang,agent:silent',
    caughtBy: 'I4',
    executions: 60,
  },
  {
    name: 'webhook-id-per-attempt',
    what: 'each attempt of a webhook has an id of its own',
    file: 'activities/deliver-webhook.ts',
    edits: [
      {
        find: 'const id = webhookId(executionId);',
        replace: 'const id = `${webhookId(executionId)}.${Math.random()}`;',
      },
    ],
    faults: 'receiver:500',
    caughtBy: 'I4',
  },
  {
    name: 'signature-without-time',
    what: 'the signature does not cover the timestamp',
    file: 'activities/webhook-signature.ts',
    edits: [{ find: '${id}.${timestamp}.${body}`).digest', replace: '${id}.${body}`).digest' }],
    faults: 'none',
    caughtBy: 'I4',
  },
  {
    name: 'gone-ignored',
    what: '410 does not end a delivery',
    file: 'activities/deliver-webhook.ts',
    edits: [{ find: 'const isLast = httpStatus === GONE || ', replace: 'const isLast = ' }],
    faults: 'receiver:410',
    caughtBy: 'I4',
  },
  {
    name: 'redirect-followed',
    what: 'a 3xx of a receiver is followed',
    file: 'activities/deliver-webhook.ts',
    edits: [
      {
        find: 'const httpStatus = response.statusCode;',
        replace: `const place = response.headers.location;
      if (typeof place === 'string') await request(new URL(place, webhook.url), { dispatcher: http, method: 'POST', body });
      const httpStatus = response.statusCode;`,
      },
    ],
    faults: 'receiver:302',
    caughtBy: 'I4',
  },
  {
    name: 'receiver-retry-after-ignored',
    what: "a receiver's Retry-After is not honoured",
    file: 'activities/deliver-webhook.ts',
    edits: [{ find: '...(nextRetryDelay !== undefined && { nextRetryDelay }),', replace: '' }],
    faults: 'receiver:429',
    caughtBy: 'I4',
  },
  {
    name: 'attempts-not-reported',
    what: 'failed attempts of a webhook are not written to history',
    file: 'activities/deliver-webhook.ts',
    edits: [
      {
        find: 'if (!isLast) await reportAttempt(attempt);',
        replace: 'if (!isLast && isLast) await reportAttempt(attempt);',
      },
    ],
    faults: 'receiver:500,receiver:down',
    caughtBy: 'I4',
  },
  {
    name: 'huge-answer-read',
    what: "all of a receiver's answer is read",
    file: 'activities/deliver-webhook.ts',
    edits: [
      {
        find: 'await readText(response.body, MAX_RESPONSE_BYTES).catch(() => undefined);',
        replace: 'await response.body.text().catch(() => undefined);',
      },
    ],
    faults: 'receiver:huge',
    caughtBy: 'I4',
  },
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
