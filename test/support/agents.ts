import type { TestContext } from 'node:test';
import { httpServer, sendJson } from './http-server.ts';
import type { Received, TestServer } from './http-server.ts';

export interface AcceptingAgent extends TestServer {
  /** Waits for the call of an execution and gives the URL it is to report to. */
  callbackUrl: (executionId: string) => Promise<string>;
  /** Reports as an agent does, and gives the status of the answer. */
  report: (executionId: string, body: unknown) => Promise<{ status: number; body: Record<string, unknown> }>;
}

/** An agent that acknowledges every call with 202 and says nothing more until the test makes it. */
export async function acceptingAgent(t: Pick<TestContext, 'after'>): Promise<AcceptingAgent> {
  const server = await httpServer(t, (_request, response) => sendJson(response, 202, { status: 'processing' }));
  const callbackUrl = async (executionId: string) => {
    const [call] = await server.waitFor(1, isCallOf(executionId));
    return String(call?.headers['perdure-callback-url']);
  };
  return {
    ...server,
    callbackUrl,
    report: async (executionId, body) => {
      const response = await fetch(await callbackUrl(executionId), { method: 'POST', body: JSON.stringify(body) });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    },
  };
}

export function isCallOf(executionId: string): (request: Received) => boolean {
  return (request) => request.headers['x-execution-id'] === executionId && !request.path.startsWith('/_internal/');
}

export function isCancelOf(executionId: string): (request: Received) => boolean {
  return (request) => request.path === `/_internal/executions/${executionId}/cancel`;
}
