import {
  getMemoryRequest,
  memoryEventsQuery,
  memoryHistory,
  memoryHistoryQuery,
  memoryList,
  memoryListQuery,
  memoryValue,
  setMemoryRequest,
} from './memory-schemas.ts';
import type { Route } from './openapi-routes.ts';
import { problemDetails } from './schemas.ts';

const SCOPE_HEADERS = ['X-Workflow-ID', 'X-Run-ID', 'X-Session-ID', 'X-Actor-ID'];
const WRITE_HEADERS = [...SCOPE_HEADERS, 'X-Agent-Node-ID'];

/** What agents remember. */
export const MEMORY_ROUTES: Route[] = [
  {
    method: 'post',
    path: '/api/v1/memory/set',
    summary: 'Remember a value, in the scope named or the narrowest there is',
    request: setMemoryRequest,
    headers: WRITE_HEADERS,
    answers: {
      200: { description: 'What was written', body: memoryValue, headers: ['Perdure-Memory-Rev'] },
      409: { description: 'The memory would be too large', body: problemDetails },
    },
  },
  {
    method: 'post',
    path: '/api/v1/memory/get',
    summary: 'Recall a value: of the scope named, else of the narrowest that has it',
    request: getMemoryRequest,
    headers: SCOPE_HEADERS,
    answers: {
      200: { description: 'The value', body: memoryValue },
      404: { description: 'There is none', body: problemDetails },
    },
  },
  {
    method: 'post',
    path: '/api/v1/memory/delete',
    summary: 'Forget a value',
    request: getMemoryRequest,
    headers: WRITE_HEADERS,
    answers: { 204: { description: 'It is not there (any more)', headers: ['Perdure-Memory-Rev'] } },
  },
  {
    method: 'get',
    path: '/api/v1/memory/list',
    summary: 'All values of one scope',
    query: memoryListQuery,
    headers: SCOPE_HEADERS,
    answers: { 200: { description: 'The values', body: memoryList } },
  },
  {
    method: 'get',
    path: '/api/v1/memory/events/ws',
    summary: 'A WebSocket: changes of memories as they happen',
    query: memoryEventsQuery,
    answers: {
      101: { description: 'Frames are JSON text, one change each' },
      426: { description: 'Not asked for as a WebSocket', body: problemDetails },
    },
  },
  {
    method: 'get',
    path: '/api/v1/memory/events/sse',
    summary: 'The same as server-sent events',
    query: memoryEventsQuery,
    headers: ['Last-Event-ID'],
    answers: { 200: { description: 'text/event-stream, one change per event' } },
  },
  {
    method: 'get',
    path: '/api/v1/memory/events/history',
    summary: 'Changes that are still kept, oldest first',
    query: memoryHistoryQuery,
    answers: { 200: { description: 'The changes, the newest if they are more than the limit', body: memoryHistory } },
  },
];
