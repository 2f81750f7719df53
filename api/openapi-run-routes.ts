import type { Route } from './openapi-routes.ts';
import { cancelQuery } from './routes/executions.ts';
import { runListQuery, runTreeQuery } from './routes/run-tree.ts';
import { runEventsQuery } from './routes/runs.ts';
import { runCancelAnswer, runList, runTree } from './run-schemas.ts';
import { restartAnswer, restartList, restartRequest } from './restart-schemas.ts';
import { problemDetails, runLogPage } from './schemas.ts';
import { cancelRequest } from './steering-schemas.ts';

const CANCEL_RUN = {
  method: 'post',
  request: cancelRequest,
  query: cancelQuery,
} as const;

/** Executions that share a run id, and those that are another one again. */
export const RUN_ROUTES: Route[] = [
  {
    method: 'get',
    path: '/api/v1/runs',
    summary: 'List runs, newest first, by their executions without a parent',
    query: runListQuery,
    answers: { 200: { description: 'One page', body: runList } },
  },
  {
    method: 'get',
    path: '/api/v1/runs/{run_id}',
    summary: 'The tree of a run, as it is now',
    query: runTreeQuery,
    answers: { 200: { description: 'One page of its executions, and what they come to', body: runTree } },
  },
  {
    method: 'get',
    path: '/api/v1/runs/{run_id}/events',
    summary: 'The logs of all executions of a run as one: server-sent events, or pages of JSON',
    query: runEventsQuery,
    headers: ['Last-Event-ID', 'Accept'],
    answers: {
      200: { description: 'A page of the log; as text/event-stream one such entry per event', body: runLogPage },
      204: { description: 'Nothing will follow: an EventSource stops here' },
      422: { description: 'The run has too many executions to be followed as one', body: problemDetails },
    },
  },
  {
    ...CANCEL_RUN,
    path: '/api/v1/runs/{run_id}/cancel',
    summary: 'Ask all executions of a run to cancel, the deepest first; nobody joins it any more',
    answers: { 202: { description: 'It is durable; what was done', body: runCancelAnswer, headers: ['Location'] } },
  },
  {
    ...CANCEL_RUN,
    path: '/api/v1/workflows/{run_id}/cancel-tree',
    summary: "The same under AgentField's name",
    answers: {
      200: { description: 'What was done', body: runCancelAnswer },
      202: { description: 'It is durable; no worker has taken it up yet', body: runCancelAnswer },
    },
  },
  {
    method: 'post',
    path: '/api/v1/executions/{id}/restart',
    summary: 'The same again as a new execution, with this input or another one, from its start or its checkpoint',
    request: restartRequest,
    headers: ['Idempotency-Key'],
    answers: {
      202: { description: 'Accepted', body: restartAnswer, headers: ['Location', 'Retry-After'] },
      409: { description: 'It has not ended, or left no checkpoint', body: problemDetails },
    },
  },
  {
    method: 'get',
    path: '/api/v1/executions/{id}/restarts',
    summary: 'The executions that are this one again',
    answers: { 200: { description: 'All, in the order in which they were asked for', body: restartList } },
  },
];
