import type { z } from 'zod';
import { MEMORY_ROUTES } from './openapi-memory-routes.ts';
import { AGENTFIELD_ROUTES, NODE_ROUTES, STEP_ROUTES } from './openapi-node-routes.ts';
import { BATCH_ROUTES } from './openapi-batch-routes.ts';
import { RUN_ROUTES } from './openapi-run-routes.ts';
import { eventsQuery } from './routes/events.ts';
import { callbackQuery, cancelQuery, listQuery, waitQuery } from './routes/executions.ts';
import { contextQuery } from './routes/steering.ts';
import {
  acceptedAnswer,
  agentDirections,
  batchStatusAnswer,
  batchStatusRequest,
  callbackAnswer,
  cancelAnswer,
  execution,
  executionList,
  logPage,
  pausedAnswer,
  executeRequest,
  problemDetails,
  redeliverAnswer,
  resumedAnswer,
  statusCallback,
  syncAnswer,
} from './schemas.ts';
import {
  approvalRequest,
  contextDocument,
  messageList,
  pauseRequest,
  resumeRequest,
  steerMessage,
  trackedMessage,
  agentEvents,
  cancelRequest,
} from './steering-schemas.ts';

/** A route as the OpenAPI document has it. */
export interface Route {
  method: 'get' | 'post' | 'patch' | 'put' | 'delete';
  /** OpenAPI path; tests hold it against the router's own. */
  path: string;
  summary: string;
  request?: z.ZodType;
  query?: z.ZodObject;
  headers?: string[];
  answers: Record<number, { description: string; body?: z.ZodType; headers?: string[] }>;
}

const SUBMIT_HEADERS = ['Idempotency-Key', 'X-Run-ID', 'X-Parent-Execution-ID', 'X-Session-ID', 'X-Actor-ID'];
const STARTED_HEADERS = ['Location', 'Retry-After', 'X-Execution-ID', 'X-Run-ID', 'Idempotency-Replayed'];

/** Every route there is; tests hold them against the router's own. */
export const ROUTES: Route[] = [
  {
    method: 'post',
    path: '/api/v1/execute/async/{target}',
    summary: 'Submit work; the answer comes as soon as it is durable',
    request: executeRequest,
    headers: SUBMIT_HEADERS,
    answers: { 202: { description: 'Accepted', body: acceptedAnswer, headers: STARTED_HEADERS } },
  },
  {
    method: 'post',
    path: '/api/v1/execute/{target}',
    summary: 'Submit work and wait for its end, or as long as Prefer says',
    request: executeRequest,
    headers: ['Prefer', ...SUBMIT_HEADERS],
    answers: {
      200: {
        description: 'Succeeded',
        body: syncAnswer,
        headers: ['X-Execution-ID', 'X-Run-ID', 'Preference-Applied'],
      },
      202: { description: 'Not finished in the time preferred', body: acceptedAnswer, headers: STARTED_HEADERS },
      409: { description: 'The execution was cancelled', body: syncAnswer },
      502: { description: 'The agent failed; an agent that answers 4xx passes that status on', body: syncAnswer },
      504: { description: 'The execution took too long and has ended as timeout', body: syncAnswer },
    },
  },
  {
    method: 'get',
    path: '/api/v1/executions',
    summary: 'List executions, newest first',
    query: listQuery,
    answers: { 200: { description: 'One page', body: executionList, headers: ['Link'] } },
  },
  {
    method: 'post',
    path: '/api/v1/executions/batch-status',
    summary: 'Read up to 500 executions at once',
    request: batchStatusRequest,
    answers: { 200: { description: 'A map from id to execution', body: batchStatusAnswer } },
  },
  {
    method: 'get',
    path: '/api/v1/executions/{id}',
    summary: 'Read an execution, or wait up to 60 s for its next change',
    query: waitQuery,
    headers: ['If-None-Match', 'Cache-Control'],
    answers: {
      200: { description: 'The execution, at every stage', body: execution, headers: ['ETag', 'Retry-After'] },
      304: { description: 'Not changed' },
    },
  },
  {
    method: 'get',
    path: '/api/v1/executions/{id}/events',
    summary: 'The log: server-sent events as they happen, or pages of JSON (Accept: application/json)',
    query: eventsQuery,
    headers: ['Last-Event-ID', 'Accept'],
    answers: {
      200: { description: 'A page of the log; as text/event-stream one such entry per event', body: logPage },
      204: { description: 'Nothing will follow that entry: an EventSource stops here' },
    },
  },
  {
    method: 'post',
    path: '/api/v1/executions/{id}/events',
    summary: 'Callback of a working agent: what it does, step by step',
    request: agentEvents,
    answers: {
      200: { description: 'Recorded, or known already', body: agentDirections },
      409: { description: 'The execution has ended', body: problemDetails },
    },
  },
  {
    method: 'post',
    path: '/api/v1/executions/{id}/status',
    summary: 'Callback of an agent that answered 202: progress, or its last word',
    request: statusCallback,
    query: callbackQuery,
    answers: {
      200: { description: 'Recorded, or known already', body: callbackAnswer },
      409: { description: 'The execution has ended otherwise', body: problemDetails },
    },
  },
  {
    method: 'post',
    path: '/api/v1/executions/{id}/cancel',
    summary: 'Ask for an execution to be cancelled',
    request: cancelRequest,
    query: cancelQuery,
    answers: {
      202: { description: 'The request is durable; the status follows', body: cancelAnswer, headers: ['Location'] },
      409: { description: 'It has ended already', body: problemDetails },
    },
  },
  {
    method: 'post',
    path: '/api/v1/executions/{id}/messages',
    summary: 'Say something to the agent; what becomes of it stands in the log',
    request: steerMessage,
    answers: {
      202: { description: 'Recorded, or known already', body: trackedMessage, headers: ['Location'] },
      409: { description: 'The execution has ended, or the context has changed', body: problemDetails },
    },
  },
  {
    method: 'get',
    path: '/api/v1/executions/{id}/messages',
    summary: 'What became of messages',
    answers: { 200: { description: 'Those that are open, and the newest of the others', body: messageList } },
  },
  {
    method: 'get',
    path: '/api/v1/executions/{id}/steer',
    summary: 'A WebSocket: the live log goes out, messages come in',
    answers: {
      101: { description: 'Frames are JSON text: entries of the log, a receipt or an error for each message' },
      426: { description: 'Not asked for as a WebSocket', body: problemDetails },
    },
  },
  {
    method: 'get',
    path: '/api/v1/executions/{id}/context',
    summary: "The agent's visible memory, or what has changed in it",
    query: contextQuery,
    answers: { 200: { description: 'The document, or its newer patches', body: contextDocument } },
  },
  {
    method: 'post',
    path: '/api/v1/executions/{id}/pause',
    summary: 'Hold an execution: no further call of the agent; the time limit stands still',
    request: pauseRequest,
    answers: { 200: { description: 'Paused', body: pausedAnswer } },
  },
  {
    method: 'post',
    path: '/api/v1/executions/{id}/resume',
    summary: 'Let go on what is paused, else answer what the agent waits for',
    request: resumeRequest,
    answers: {
      200: { description: 'It goes on', body: resumedAnswer },
      409: { description: 'Neither paused nor waiting', body: problemDetails },
    },
  },
  {
    method: 'post',
    path: '/api/v1/executions/{id}/approval',
    summary: 'Decide what the agent waits to have approved',
    request: approvalRequest,
    answers: {
      200: { description: 'Recorded; the agent gets the word again', body: execution },
      409: { description: 'It does not wait for that', body: problemDetails },
    },
  },
  {
    method: 'post',
    path: '/api/v1/executions/{id}/webhook/redeliver',
    summary: 'Send the webhook of a finished execution again, under the same webhook-id',
    answers: {
      202: { description: 'A further delivery has begun', body: redeliverAnswer, headers: ['Location'] },
      409: {
        description: 'Not finished, no webhook, a delivery is under way, or there were too many',
        body: problemDetails,
      },
    },
  },
  ...STEP_ROUTES,
  ...NODE_ROUTES,
  ...MEMORY_ROUTES,
  ...AGENTFIELD_ROUTES,
  ...RUN_ROUTES,
  ...BATCH_ROUTES,
  {
    method: 'get',
    path: '/health',
    summary: 'This process is up',
    answers: { 200: { description: 'Up' } },
  },
  {
    method: 'get',
    path: '/ready',
    summary: 'Temporal can be reached and a worker polls',
    answers: { 200: { description: 'Ready' }, 503: { description: 'Not ready; the body says why' } },
  },
  {
    method: 'get',
    path: '/openapi.json',
    summary: 'This document',
    answers: { 200: { description: 'OpenAPI 3.1' } },
  },
];
