import { z } from 'zod';
import { acceptedAnswer, execution, executeRequest } from './schemas.ts';

/** What is asked of restarts and told of them: see `schemas.ts`. */

export const REUSE_MODES = ['none', 'succeeded', 'succeeded-before', 'all-succeeded'] as const;

export const restartRequest = executeRequest
  .pick({ context: true, webhook: true, run_webhook: true, timeout_ms: true })
  .extend({
    input: z.record(z.string(), z.unknown()).optional().meta({ description: 'Instead of the one of before' }),
    from: z
      .enum(['start', 'checkpoint'])
      .default('start')
      .meta({ description: 'checkpoint: the agent gets the last one of before, and goes on from there' }),
    reuse: z
      .enum(REUSE_MODES)
      .default('none')
      .meta({
        description:
          'Calls that the agents of the new run make have the results of the same calls of the old one: all that ' +
          'succeeded (all-succeeded is the same), or those that had before the execution was submitted',
      }),
    scope: z
      .enum(['execution', 'workflow'])
      .default('workflow')
      .meta({ description: 'workflow: the root of its run is restarted, execution: it alone' }),
    fork: z.boolean().optional().meta({ description: "AgentField's; a restart is always a run of its own" }),
    reason: z.string().max(1000).optional(),
  })
  .meta({ id: 'RestartRequest' });
export type RestartRequest = z.infer<typeof restartRequest>;

export const restartAnswer = acceptedAnswer
  .extend({
    source_execution_id: z.string().meta({ description: 'The one that was named' }),
    source_run_id: z.string(),
    restarted_execution_id: z.string().meta({ description: 'The one that the new one is again: it, or its root' }),
    replay_mode: z.enum(REUSE_MODES),
    scope: z.enum(['execution', 'workflow']),
    kind: z.enum(['restart', 'fork']),
  })
  .meta({ id: 'RestartAnswer' });

export const restartList = z
  .object({ execution_id: z.string(), restarts: z.array(execution) })
  .meta({ id: 'RestartList' });
