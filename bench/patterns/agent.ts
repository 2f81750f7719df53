import type { ServerResponse } from 'node:http';
import { httpServer, sendJson } from './http.ts';
import { TASK_MS } from './settings.ts';
import type { Trace } from './trace.ts';

/** What the agent knows of one execution. */
export interface AgentRecord {
  calls: number;
  /** Calls that it failed on purpose: each explains one more. */
  failed: number;
  /** Its own time for the answer that it gave last. */
  workedMs: number;
}

export interface BenchAgent {
  url: string;
  record: (execution: number) => AgentRecord;
  faults: { errors: number; crashes: number; hangs: number };
  close: () => void;
}

/** Executions below 0 warm up the services: they are answered fast and never fail. */
export const WARM_UP_TASK_MS = 200;

/** Works for the time of a task, unless the trace has something else in store for this call. */
export async function startAgent(trace: Trace): Promise<BenchAgent> {
  const records = new Map<number, AgentRecord>();
  const faults = { errors: 0, crashes: 0, hangs: 0 };
  const record = (execution: number) => {
    const known = records.get(execution) ?? { calls: 0, failed: 0, workedMs: 0 };
    records.set(execution, known);
    return known;
  };

  const { url, close } = await httpServer((path, body, response) => {
    if (path !== '/reasoners/work') return void response.writeHead(204).end();
    const startedAt = performance.now();
    const { n } = JSON.parse(body) as { n: number };
    const known = record(n);
    known.calls++;
    const fault = n < 0 ? ({ kind: 'none' } as const) : trace.agentFault(n, known.calls);
    switch (fault.kind) {
      case 'error':
        faults.errors++;
        known.failed++;
        return sendJson(response, 500, { error: 'model overloaded' });
      case 'crash':
        return after(response, fault.afterMs, () => {
          faults.crashes++;
          known.failed++;
          response.destroy();
        });
      case 'hang':
        faults.hangs++;
        return undefined;
      case 'none':
        return after(response, n < 0 ? WARM_UP_TASK_MS : TASK_MS, () => {
          known.workedMs = performance.now() - startedAt;
          sendJson(response, 200, { n, answer: trace.answer(n) });
        });
    }
  });
  return { url, record, faults, close };
}

/** Unless the caller goes away before. */
function after(response: ServerResponse, ms: number, act: () => void): void {
  const timer = setTimeout(act, ms);
  response.once('close', () => clearTimeout(timer));
}
