import type { Mutation } from './mutations.ts';

/** Protections of the log of an execution. */
export const LOG_MUTATIONS: Mutation[] = [
  {
    name: 'entry-repeated',
    what: 'a stream that goes on begins with the entry that its reader has already',
    file: 'api/log.ts',
    edits: [
      {
        find: 'records.slice(dropped + sequence + 1 - first)',
        replace: 'records.slice(Math.max(dropped, dropped + sequence - first))',
      },
    ],
    faults: 'cut:client-api',
    caughtBy: 'I7',
    rounds: 3,
  },
  {
    name: 'log-by-own-clock',
    what: 'the time of an entry is when it was read, not when Temporal recorded it',
    file: 'api/projection.ts',
    edits: [
      {
        find: '{ sequence, at: toIso(eventTime), entry }',
        replace: '{ sequence, at: new Date().toISOString(), entry }',
      },
    ],
    faults: 'none',
    caughtBy: 'I7',
  },
  {
    name: 'event-id-ignored',
    what: 'an event that an agent sends again because it got no answer is recorded again',
    file: 'workflows/agent-reports.ts',
    // The API does not send it, and the reducer does not take it.
    edits: [
      { find: 'if (ids.includes(id)) return true;', replace: '' },
      {
        file: 'api/agent-words.ts',
        find: 'const news = reports.filter(({ id }) => id === undefined || !state.eventIds?.includes(id));',
        replace: 'const news = reports;',
      },
    ],
    faults: 'cut:agent-api,delay:api-temporal',
    caughtBy: 'I7',
    executions: 80,
    rounds: 6,
  },
  {
    name: 'event-answered-first',
    what: 'an event is answered 200 before its signal is accepted',
    file: 'api/agent-words.ts',
    edits: [
      {
        find: 'signalAndSee(executionId, () => queue.add(executionId, marked, pauseAfter(events)), isThere)',
        replace:
          'signalAndSee(executionId, async () => void queue.add(executionId, marked).catch(() => undefined), isThere)',
      },
    ],
    faults: 'kill-temporal@in-flight,cut:api-temporal',
    caughtBy: 'I7',
    rounds: 8,
    executions: 160,
  },
];
