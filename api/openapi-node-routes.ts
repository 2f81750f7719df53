import {
  discoveryAnswer,
  heartbeatAnswer,
  heartbeatRequest,
  leaseAnswer,
  logsAnswer,
  logsRequest,
  nodeList,
  nodeView,
  noteAnswer,
  noteList,
  noteRequest,
  registerAnswer,
  registerRequest,
  legacyAnswer,
  shutdownRequest,
  statusRequest,
  takenAnswer,
} from './node-schemas.ts';
import type { Route } from './openapi-routes.ts';
import { discoveryQuery } from './routes/discovery.ts';
import { notesQuery } from './routes/agentfield.ts';
import { storedStep, storedStepList, storeStepRequest } from './steering-schemas.ts';
import { executeRequest, problemDetails } from './schemas.ts';

const UNKNOWN = { description: 'There is no such node, or no such instance: register it', body: problemDetails };
const REGISTERED = { 201: { description: 'It is known, and gets calls', body: registerAnswer } };

/** Agent nodes that join by themselves. */
export const NODE_ROUTES: Route[] = [
  {
    method: 'post',
    path: '/api/v1/nodes/register',
    summary: 'A process that serves an agent node says that it is there',
    request: registerRequest,
    answers: REGISTERED,
  },
  {
    method: 'post',
    path: '/api/v1/nodes',
    summary: "The same, by the other one of AgentField's paths",
    request: registerRequest,
    answers: REGISTERED,
  },
  {
    method: 'get',
    path: '/api/v1/nodes',
    summary: 'All agent nodes, those of the configuration first',
    answers: { 200: { description: 'The nodes', body: nodeList } },
  },
  {
    method: 'get',
    path: '/api/v1/nodes/{node}',
    summary: 'One agent node, what it serves and who serves it',
    answers: { 200: { description: 'The node', body: nodeView }, 404: UNKNOWN },
  },
  {
    method: 'post',
    path: '/api/v1/nodes/{node}/heartbeat',
    summary: 'The process is still there',
    request: heartbeatRequest,
    answers: { 200: { description: 'Heard', body: heartbeatAnswer }, 404: UNKNOWN },
  },
  {
    method: 'patch',
    path: '/api/v1/nodes/{node}/status',
    summary: 'The same, with whether it takes calls',
    request: statusRequest,
    answers: { 200: { description: 'Heard', body: leaseAnswer }, 404: UNKNOWN },
  },
  {
    method: 'post',
    path: '/api/v1/nodes/{node}/shutdown',
    summary: 'The process ends what it has and takes no further call',
    request: shutdownRequest,
    answers: { 202: { description: 'It gets none', body: takenAnswer }, 404: UNKNOWN },
  },
  {
    method: 'get',
    path: '/api/v1/discovery/capabilities',
    summary: 'What there is to be called',
    query: discoveryQuery,
    answers: { 200: { description: 'Reasoners and skills by their nodes', body: discoveryAnswer } },
  },
];

/** What an agent has stored of its work. */
export const STEP_ROUTES: Route[] = [
  {
    method: 'put',
    path: '/api/v1/executions/{id}/steps/{key}',
    summary: 'Store the result of a step once',
    request: storeStepRequest,
    answers: {
      200: { description: 'It was stored before, with the same value', body: storedStep },
      201: { description: 'Stored', body: storedStep },
      409: {
        description: 'It was stored with another value, which is told; or the execution is over',
        body: problemDetails,
      },
    },
  },
  {
    method: 'get',
    path: '/api/v1/executions/{id}/steps/{key}',
    summary: 'The result of a step',
    answers: {
      200: { description: 'As it was stored', body: storedStep },
      404: { description: 'Not yet', body: problemDetails },
    },
  },
  {
    method: 'get',
    path: '/api/v1/executions/{id}/steps',
    summary: 'All that are stored, in their order',
    answers: { 200: { description: 'The steps', body: storedStepList } },
  },
];

const LEGACY = {
  200: { description: 'The result', body: legacyAnswer, headers: ['X-Execution-ID', 'X-Workflow-ID'] },
};

/** What only AgentField's SDKs use. */
export const AGENTFIELD_ROUTES: Route[] = [
  {
    method: 'post',
    path: '/api/v1/reasoners/{target}',
    summary: 'Call and wait for the result; `/execute/{target}` does the same and tells more',
    request: executeRequest,
    answers: LEGACY,
  },
  {
    method: 'post',
    path: '/api/v1/skills/{target}',
    summary: 'The same',
    request: executeRequest,
    answers: LEGACY,
  },
  {
    method: 'post',
    path: '/api/v1/executions/note',
    summary: 'A note of the agent; the execution is named by X-Execution-ID or ?execution_id=',
    request: noteRequest,
    answers: { 200: { description: 'Recorded in the log', body: noteAnswer } },
  },
  {
    method: 'post',
    path: '/api/ui/v1/executions/note',
    summary: 'The same, where older SDKs send it',
    request: noteRequest,
    answers: { 200: { description: 'Recorded in the log', body: noteAnswer } },
  },
  {
    method: 'get',
    path: '/api/v1/executions/{id}/notes',
    summary: 'The notes of an execution',
    query: notesQuery,
    answers: { 200: { description: 'The notes', body: noteList } },
  },
  {
    method: 'post',
    path: '/api/v1/executions/{id}/logs',
    summary: "Lines for the API's own log; they are not kept with the execution",
    request: logsRequest,
    answers: { 202: { description: 'Written', body: logsAnswer } },
  },
  {
    method: 'post',
    path: '/api/v1/workflow/executions/events',
    summary: 'Taken and not kept: how an execution goes is told by its callbacks',
    answers: { 200: { description: 'Taken', body: takenAnswer } },
  },
  {
    method: 'get',
    path: '/api/v1/health',
    summary: 'This process is up',
    answers: { 200: { description: 'Up' } },
  },
];
