import { batchAccepted, batchRequest, batchView } from './batch-schemas.ts';
import type { Route } from './openapi-routes.ts';
import { batchQuery } from './routes/batches.ts';
import { cancelQuery } from './routes/executions.ts';
import { runCancelAnswer } from './run-schemas.ts';
import { problemDetails } from './schemas.ts';
import { cancelRequest } from './steering-schemas.ts';

/** Many submissions in one call. */
export const BATCH_ROUTES: Route[] = [
  {
    method: 'post',
    path: '/api/v1/executions/batch',
    summary: 'Submit up to 1,000 executions at once; each is accepted or refused by itself',
    request: batchRequest,
    headers: ['Idempotency-Key'],
    answers: {
      202: { description: 'Those that were accepted are durable', body: batchAccepted, headers: ['Location'] },
      422: { description: 'None was accepted', body: problemDetails },
    },
  },
  {
    method: 'get',
    path: '/api/v1/batches/{id}',
    summary: 'How far a batch is',
    query: batchQuery,
    answers: { 200: { description: 'One page of its items, and what all come to', body: batchView } },
  },
  {
    method: 'post',
    path: '/api/v1/batches/{id}/cancel',
    summary: 'Start no further item, and cancel those that are open, with all executions that they led to',
    request: cancelRequest,
    query: cancelQuery,
    answers: { 202: { description: 'It is durable; what was done', body: runCancelAnswer, headers: ['Location'] } },
  },
];
