import type { Route } from './openapi-routes.ts';
import { runListQuery, runTreeQuery } from './routes/run-tree.ts';
import { runEventsQuery } from './routes/runs.ts';
import { runList, runTree } from './run-schemas.ts';
import { problemDetails, runLogPage } from './schemas.ts';

/** Executions that share a run id. */
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
];
