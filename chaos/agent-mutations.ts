import type { Mutation } from './mutations.ts';

const ACCEPTED_STILL_HELD: Mutation['edits'] = [
  { find: "return { kind: 'accepted' };", replace: 'return await new Promise<never>(() => undefined);' },
  {
    find: 'number > 1 || hasWaited() ? await',
    replace: 'number < 0 ? await',
    file: 'activities/call-agent.ts',
  },
];

/** Protections of the calls of agents. */
export const AGENT_MUTATIONS: Mutation[] = [
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
    edits: ACCEPTED_STILL_HELD,
    faults: 'kill-worker@acknowledged-long-ago',
    caughtBy: 'I3',
    rounds: 8,
    executions: 160,
  },
  {
    name: 'accepted-still-held-stop',
    what: 'the same, and the worker stops for a while',
    file: 'activities/agent-answer.ts',
    edits: ACCEPTED_STILL_HELD,
    faults: 'stop-worker',
    caughtBy: 'I3',
    rounds: 8,
    executions: 160,
  },
  {
    name: 'late-task-fails',
    what: 'a worker whose clock says that a task is over takes it for a refusal, and does not leave the call to others',
    file: 'activities/call-agent.ts',
    edits: [
      {
        find: 'const isTooLate = Date.now() > Date.parse(call.taskEndsAt);',
        replace: `const isTooLate = false;
    if (Date.now() > Date.parse(call.taskEndsAt)) throw agentFailures.ofResponse(400, undefined, 'too late');`,
      },
    ],
    faults: 'skew-worker',
    caughtBy: 'I5',
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
];
