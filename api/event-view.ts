import { formatTarget } from '../workflows/execution.ts';
import type { AgentReport } from '../workflows/execution.ts';
import { answerView, messageView } from '../common/steering-view.ts';
import { attemptView, endView, waitView } from './execution-view.ts';
import type { LogRecord } from './log.ts';
import type { LogEvent } from './schemas.ts';

/** Kinds that only Perdure says. An agent that uses one of these names, or none that can be one, says `other`. */
export const OWN_KINDS = [
  'queued',
  'running',
  'steer.accepted',
  'paused',
  'resumed',
  'waiting',
  'answered',
  'context.rejected',
  'cancelling',
  'handed_over',
  'step.stored',
  'outcome',
  'webhook.attempt',
  'snapshot',
  'end',
  'other',
] as const;

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
      return { kind: 'running', data: { lane: entry.lane, ...(entry.turn !== undefined && { turn: entry.turn }) } };
    case 'report':
      return reportView(entry.report);
    case 'outcome':
      return { kind: 'outcome', data: { status: entry.outcome.status, ...endView(entry.outcome) } };
    case 'webhook-attempt':
      return { kind: 'webhook.attempt', data: attemptView(entry.attempt) };
    case 'message':
      return { kind: 'steer.accepted', data: messageView(entry.message) };
    case 'receipt': {
      const { id, status, step, reason } = entry.receipt;
      return {
        kind: `steer.${status}`,
        data: { id, ...(step !== undefined && { step }), ...(reason !== undefined && { reason }) },
      };
    }
    case 'context-rejected':
      return { kind: 'context.rejected', data: entry.data };
    case 'paused':
    case 'resumed':
      return { kind: entry.kind, data: { by: entry.by ?? null, reason: entry.reason ?? null } };
    case 'waiting':
      return { kind: 'waiting', data: waitView(entry.wait) };
    case 'answered':
      return { kind: 'answered', data: answerView(entry.answer) };
    case 'step':
      return { kind: 'step.stored', data: { key: entry.step.key } };
    case 'handed-over':
      return { kind: 'handed_over', data: { instance_id: entry.instanceId } };
    case 'cancelling':
      return { kind: 'cancelling', data: { reason: entry.reason ?? null, grace_ms: entry.graceMs } };
    case 'callback':
    case 'pause':
    case 'resume':
    case 'answer':
    case 'cancel-request':
    case 'permit-requested':
    case 'permit-granted':
    case 'permit-released':
    case 'instance-lost':
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
