import { z } from 'zod';
import { OPEN_STATUSES } from '../workflows/execution.ts';
import type { AgentReport } from '../workflows/execution.ts';

const progressFields = z.object({
  status: z.enum(OPEN_STATUSES).optional().catch(undefined),
  current_action: z.string().max(1000).optional().catch(undefined),
  progress_pct: z.number().min(0).max(100).optional().catch(undefined),
  estimated_completion: z.iso.datetime({ offset: true }).optional().catch(undefined),
});

/** What an agent says of its progress; fields that make no sense are left out, the others count. */
export function progressReport(fields: unknown): AgentReport {
  const read = progressFields.safeParse(fields);
  const { status, current_action, progress_pct, estimated_completion } = read.success ? read.data : {};
  return {
    type: 'progress',
    ...(status !== undefined && { status }),
    ...(current_action !== undefined && { currentAction: current_action }),
    ...(progress_pct !== undefined && { progressPct: progress_pct }),
    ...(estimated_completion !== undefined && { estimatedCompletion: estimated_completion }),
  };
}
