import { z } from 'zod';
import { ROUTES } from './openapi-routes.ts';
import type { Route } from './openapi-routes.ts';
import { problemDetails } from './schemas.ts';

const REQUEST_HEADERS: Record<string, string> = {
  Prefer: 'RFC 7240: respond-async, wait=<seconds>',
  'Idempotency-Key': 'The same key with the same request names the same execution',
  'X-Run-ID': 'Joins a run; made when absent',
  'X-Parent-Execution-ID': 'The execution whose agent makes this call',
  'X-Session-ID': 'Recorded and passed on to the agent',
  'X-Actor-ID': 'Recorded and passed on to the agent',
  'X-Workflow-ID': "Names the memory of the scope 'workflow'; else X-Run-ID does",
  'X-Agent-Node-ID': 'Who writes',
  'If-None-Match': 'ETag of the last answer; 304 when nothing has changed',
  'Last-Event-ID': 'Goes on after that event of the log; before ?after=',
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
  'Perdure-Memory-Rev': 'Revision of the memory that the write made; absent when nothing has changed',
  ETag: 'Names this state of the execution',
  Link: 'rel="next": the next page',
};
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
