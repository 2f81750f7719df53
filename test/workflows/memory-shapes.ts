import { randomUUID } from 'node:crypto';
import type { TestContext } from 'node:test';
import { memoryWorkflowId } from '../../workflows/memory-contract.ts';
import { emptyMemory, MAX_MEMORY_BYTES } from '../../workflows/memory-state.ts';
import { startSystem } from '../support/system.ts';
import type { System, SystemOptions } from '../support/system.ts';

/** One way a memory can go. */
export interface MemoryShape {
  name: string;
  options?: Partial<SystemOptions>;
  /** Makes one, and names a run of its workflow. */
  run: (system: System) => Promise<{ workflowId: string; runId?: string | undefined }>;
}

export function memorySystem(t: Pick<TestContext, 'after'>, { options }: MemoryShape): Promise<System> {
  return startSystem(t, { agentNodes: {}, ...options });
}

const post = (system: System, what: string, body: object, headers: Record<string, string>) =>
  system.post(`/api/v1/memory/${what}`, body, headers);

export const MEMORY_SHAPES: MemoryShape[] = [
  {
    name: 'written',
    run: async (system) => {
      const name = { scope: 'session', scopeId: randomUUID() } as const;
      const headers = { 'x-session-id': name.scopeId, 'x-agent-node-id': 'a' };
      const workflowId = memoryWorkflowId(name, system.taskQueue);
      // As if it held more: of those who race for the rest the workflow refuses some.
      const state = { ...emptyMemory(name), bytes: MAX_MEMORY_BYTES - 1_000 };
      await system.client.workflow.start('agentMemory', {
        workflowId,
        taskQueue: system.taskQueue,
        args: [{ ...name, state }],
      });
      await post(system, 'set', { key: 'user/name', data: 'Ada' }, headers);
      await post(system, 'set', { key: 'user/name', data: { first: 'Ada' } }, headers);
      await post(system, 'set', { key: '~', data: null }, headers);
      await post(system, 'delete', { key: 'user/name' }, headers);
      const data = 'x'.repeat(500);
      await Promise.all(['a', 'b', 'c'].map((key) => post(system, 'set', { key, data }, headers)));
      return { workflowId };
    },
  },
  {
    name: 'carried-on',
    options: { policy: { maxRunEvents: 20 } },
    run: async (system) => {
      const scopeId = randomUUID();
      const workflowId = memoryWorkflowId({ scope: 'actor', scopeId }, system.taskQueue);
      const runs = new Set<string>();
      for (let i = 0; runs.size < 3; i++) {
        await post(system, 'set', { key: `k${i % 3}`, data: i }, { 'x-actor-id': scopeId });
        runs.add((await system.client.workflow.getHandle(workflowId).describe()).runId);
      }
      // One that was carried on, and has gone on.
      return { workflowId, runId: [...runs][1] };
    },
  },
  {
    name: 'forgotten',
    run: async (system) => {
      const scopeId = randomUUID();
      const workflowId = memoryWorkflowId({ scope: 'workflow', scopeId }, system.taskQueue);
      const handle = await system.client.workflow.start('agentMemory', {
        workflowId,
        taskQueue: system.taskQueue,
        args: [{ scope: 'workflow', scopeId, forgetAfterMs: 1_000 }],
      });
      await new Promise((resolve) => setTimeout(resolve, 500));
      await post(system, 'set', { key: 'k', data: 1 }, { 'x-run-id': scopeId });
      await handle.result();
      return { workflowId };
    },
  },
];
