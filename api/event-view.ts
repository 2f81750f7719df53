import { formatTarget } from '../workflows/execution.ts';
import type { AgentReport } from '../workflows/execution.ts';
import { attemptView, endView } from './execution-view.ts';
import type { LogRecord } from './log.ts';
import type { LogEvent } from './schemas.ts';

/** Kinds that only Perdure says. An agent that uses one of these names, or none that can be one, says `other`. */
export const OWN_KINDS = ['queued', 'running', 'outcome', 'webhook.attempt', 'snapshot', 'end', 'other'] as const;

const KIND = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** An entry of the log as it goes over the wire, the same on every channel. */
export function eventView({ sequence, at, entry }: LogRecord): LogEvent {
  return { sequence, at, ...contentOf(entry) };
}

function contentOf(entry: LogRecord['entry']): Pick<LogEvent, 'kind' | 'data'> {
  switch (entry.kind) {
    case 'queued':
      return { kind: 'queued', data: { target: formatTarget(entry.target), type: entry.target.type } };
    case 'running':
      return { kind: 'running', data: { lane: entry.lane } };
    case 'report':
      return reportView(entry.report);
    case 'outcome':
      return { kind: 'outcome', data: { status: entry.outcome.status, ...endView(entry.outcome) } };
    case 'webhook-attempt':
      return { kind: 'webhook.attempt', data: attemptView(entry.attempt) };
    case 'callback':
    case 'cancel-reason':
      throw new Error(`${entry.kind} has no number`);
  }
}

function reportView(report: AgentReport): Pick<LogEvent, 'kind' | 'data'> {
  if (report.type === 'progress')
    return {
      kind: 'progress',
      data: {
        ...(report.status !== undefined && { status: report.status }),
        ...(report.currentAction !== undefined && { current_action: report.currentAction }),
        ...(report.progressPct !== undefined && { progress_pct: report.progressPct }),
        ...(report.estimatedCompletion !== undefined && { estimated_completion: report.estimatedCompletion }),
      },
    };
  const { name, data } = report;
  const isOurs = (OWN_KINDS as readonly string[]).includes(name);
  return KIND.test(name) && !isOurs ? { kind: name, data } : { kind: 'other', data: { name, data } };
}
