import { z } from 'zod';
import { eventsQuery } from './routes/events.ts';
import { listQuery, waitQuery } from './routes/executions.ts';
import {
  acceptedAnswer,
  agentDirections,
  agentEvents,
  batchStatusAnswer,
  batchStatusRequest,
  callbackAnswer,
  cancelAnswer,
  cancelRequest,
  execution,
  executionList,
  logPage,
  executeRequest,
  problemDetails,
  redeliverAnswer,
  statusCallback,
  syncAnswer,
} from './schemas.ts';

interface Route {
  method: 'get' | 'post';
  /** OpenAPI path; tests hold it against the router's own. */
  path: string;
  summary: string;
  request?: z.ZodType;
  query?: z.ZodObject;
  headers?: string[];
  answers: Record<number, { description: string; body?: z.ZodType; headers?: string[] }>;
}

const REQUEST_HEADERS: Record<string, string> = {
  Prefer: 'RFC 7240: respond-async, wait=<seconds>',
  'Idempotency-Key': 'The same key with the same request names the same execution',
  'X-Run-ID': 'Joins a run; made when absent',
  'X-Parent-Execution-ID': 'The execution whose agent makes this call',
  'X-Session-ID': 'Recorded and passed on to the agent',
  'X-Actor-ID': 'Recorded and passed on to the agent',
  'If-None-Match': 'ETag of the last answer; 304 when nothing has changed',
  'Last-Event-ID': 'Goes on after that entry of the log; before ?after=',
  Accept: 'application/json for pages',
  'Cache-Control': 'no-cache asks the workflow itself, which needs a worker',
};
const RESPONSE_HEADERS: Record<string, string> = {
  Location: 'Where the execution is read',
  'Retry-After': 'Seconds until asking again is worth it',
  'X-Execution-ID': 'Id of the execution',
  'X-Run-ID': 'Id of its run',
  'Preference-Applied': 'What of Prefer was followed',
  'Idempotency-Replayed': 'true when the execution had been started before',
  ETag: 'Names this state of the execution',
  Link: 'rel="next": the next page',
};
const SUBMIT_HEADERS = ['Idempotency-Key', 'X-Run-ID', 'X-Parent-Execution-ID', 'X-Session-ID', 'X-Actor-ID'];
const STARTED_HEADERS = ['Location', 'Retry-After', 'X-Execution-ID', 'X-Run-ID', 'Idempotency-Replayed'];

const ROUTES: Route[] = [
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
    answers: {
      202: { description: 'The request is durable; the status follows', body: cancelAnswer, headers: ['Location'] },
      409: { description: 'It has ended already', body: problemDetails },
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

/** The OpenAPI 3.1 document, made from the schemas that validate. */
export function openApiDocument(): Record<string, unknown> {
  const { schemas } = z.toJSONSchema(z.globalRegistry, {
    io: 'input',
    unrepresentable: 'any',
    uri: (id) => `#/components/schemas/${id}`,
  });
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of ROUTES) paths[route.path] = { ...paths[route.path], [route.method]: operation(route) };
  return {
    openapi: '3.1.0',
    info: {
      title: 'Perdure',
      version: '1',
      description: 'Durable execution of AI agents over HTTP. Refusals are RFC 9457 problem details.',
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, withoutIds(schema)])),
    },
  };
}

function operation(route: Route) {
  const { path, summary, request, query, headers = [], answers } = route;
  const problem = { description: 'Refused', content: { 'application/problem+json': { schema: ref(problemDetails) } } };
  return {
    operationId: operationId(route),
    summary,
    parameters: [
      ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => parameter('path', name ?? '', { type: 'string' }, true)),
      ...Object.entries(query?.shape ?? {}).map(([name, schema]) => parameter('query', name, inline(schema), false)),
      ...headers.map((name) => ({
        ...parameter('header', name, { type: 'string' }, false),
        description: REQUEST_HEADERS[name],
      })),
    ],
    ...(request && { requestBody: { content: { 'application/json': { schema: ref(request) } } } }),
    responses: {
      ...Object.fromEntries(Object.entries(answers).map(([status, answer]) => [status, response(answer)])),
      ...(path.startsWith('/api/') && { '4XX': problem, '5XX': problem }),
    },
  };
}

function response({ description, body, headers = [] }: Route['answers'][number]) {
  const mediaType = body === problemDetails ? 'application/problem+json' : 'application/json';
  return {
    description,
    ...(headers.length > 0 && {
      headers: Object.fromEntries(
        headers.map((name) => [name, { description: RESPONSE_HEADERS[name], schema: { type: 'string' } }]),
      ),
    }),
    ...(body && { content: { [mediaType]: { schema: ref(body) } } }),
  };
}

function parameter(where: 'path' | 'query' | 'header', name: string, schema: unknown, required: boolean) {
  return { in: where, name, required, schema };
}

function ref(schema: z.ZodType): { $ref: string } {
  const id = z.globalRegistry.get(schema)?.id;
  if (id === undefined) throw new Error('a schema of the OpenAPI document has no id');
  return { $ref: `#/components/schemas/${id}` };
}

function inline(schema: unknown): unknown {
  return withoutIds(z.toJSONSchema(schema as z.ZodType, { io: 'input', unrepresentable: 'any' }));
}

function withoutIds(schema: object): object {
  const { $schema: _, $id: __, id: ___, ...rest } = schema as Record<string, unknown>;
  return rest;
}

function operationId({ method, path }: Route): string {
  const words = path
    .replace('/api/v1/', '')
    .split(/[^A-Za-z]+/)
    .filter(Boolean);
  return [method, ...words.map((word) => word[0]?.toUpperCase() + word.slice(1))].join('');
}
