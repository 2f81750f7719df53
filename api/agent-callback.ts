import { clip } from '../common/clip.ts';
import { findJsonFlaw } from '../common/json.ts';
import { progressReport, readReport } from '../common/reports.ts';
import { readEndOfTurn } from '../common/wait-request.ts';
import type { AgentReport, Ending, ExecutionStatus, Json, WaitRequest } from '../workflows/execution.ts';
import { isTerminal } from '../workflows/execution.ts';
import { ApiError } from './errors.ts';
import { invalid } from './json-body.ts';

/** AgentField's status words and their aliases, trimmed and in lower case. */
const ALIASES: Record<ExecutionStatus, string[]> = {
  queued: ['pending'],
  running: ['in_progress', 'processing'],
  waiting: ['wait', 'awaiting_approval', 'awaiting_human', 'approval_pending'],
  paused: ['pause', 'hold', 'on_hold', 'suspended'],
  succeeded: ['success', 'successful', 'completed', 'complete', 'done', 'ok'],
  failed: ['error', 'failure', 'errored'],
  timeout: ['timed_out'],
  cancelled: ['canceled', 'cancel'],
};
const STATUS_OF_WORD = new Map<string, ExecutionStatus>(
  Object.entries(ALIASES).flatMap(([status, aliases]) =>
    [status, ...aliases].map((word): [string, ExecutionStatus] => [word, status as ExecutionStatus]),
  ),
);

const MAX_ERROR_TEXT = 4096;
const MAX_ERROR_DETAILS_BYTES = 64 * 1024;

/** `reports` go before the last word that they come with. */
export type CallbackMeaning =
  | { kind: 'report'; report: AgentReport }
  | { kind: 'ending'; ending: Ending; reports: AgentReport[] }
  | { kind: 'waiting'; wait: WaitRequest; reports: AgentReport[] };

/** What an agent's callback says. Fields that are not ours are ignored. */
export function readCallback(body: unknown, maxResultBytes: number): CallbackMeaning {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw invalid([{ path: '$', message: 'must be an object' }]);
  const fields = body as Record<string, Json | undefined>;
  if (typeof fields.status !== 'string') throw invalid([{ path: '$.status', message: 'must be a string' }]);
  const status = STATUS_OF_WORD.get(fields.status.trim().toLowerCase());
  if (!status)
    throw new ApiError('invalid_request', 'unsupported status', {
      errors: [{ path: '$.status', message: 'unsupported status' }],
    });
  if (status === 'waiting' && fields.waiting !== undefined && fields.waiting !== null) return endOfTurn(fields);
  if (!isTerminal(status)) {
    const report = progressReport({ ...fields, status, progress_pct: fields.progress_pct ?? fields.progress });
    return { kind: 'report', report };
  }
  if (status === 'succeeded')
    return { kind: 'ending', ending: success(fields.result ?? null, maxResultBytes), reports: [] };
  return { kind: 'ending', ending: failure(status, fields), reports: kept('partial_result', fields.partial_result) };
}

/** The agent ends its turn with a question. What is wrong with it is told: nothing is lost yet. */
function endOfTurn(fields: Record<string, Json | undefined>): CallbackMeaning {
  const { waiting, checkpoint } = fields;
  const read = readEndOfTurn(waiting, checkpoint);
  if ('flaw' in read) throw invalid([{ ...read.flaw, path: `$.${read.flaw.path}` }]);
  const reports = kept('checkpoint', checkpoint).map((report): AgentReport => ({ ...report, endsTurn: true }));
  return { kind: 'waiting', wait: read.wait, reports };
}

type OtherReport = Extract<AgentReport, { type: 'other' }>;

/** What an agent leaves behind; where it is too much, its last word counts all the same. */
function kept(name: 'checkpoint' | 'partial_result', data: Json | undefined): OtherReport[] {
  if (data === undefined) return [];
  const { report, flaw } = readReport(name, { data });
  return flaw || report.type !== 'other' ? [] : [report];
}

/** How an execution ends whose agent sent more than can be kept. */
export function tooLargeEnding(maxBytes: number): Ending {
  return {
    status: 'failed',
    error: `result is larger than the limit of ${maxBytes} bytes`,
    category: 'result_too_large',
  };
}

function success(result: Json, maxResultBytes: number): Ending {
  const flaw = findJsonFlaw(result, { text: false });
  if (flaw) return { status: 'failed', error: `agent sent a bad result: ${flaw.flaw}`, category: 'bad_response' };
  if (Buffer.byteLength(JSON.stringify(result)) > maxResultBytes) return tooLargeEnding(maxResultBytes);
  return { status: 'succeeded', result };
}

function failure(status: 'failed' | 'timeout' | 'cancelled', fields: Record<string, Json | undefined>): Ending {
  const { error, error_details: details, error_status_code: agentStatus } = fields;
  const isClientError = Number.isInteger(agentStatus) && Number(agentStatus) >= 400 && Number(agentStatus) < 500;
  const keptDetails =
    details !== undefined && details !== null && !findJsonFlaw(details, { text: false }) ? details : undefined;
  return {
    status,
    error: typeof error === 'string' && error !== '' ? clip(error, MAX_ERROR_TEXT) : `agent reported ${status}`,
    category: status === 'failed' ? 'agent_error' : status === 'timeout' ? 'agent_timeout' : 'cancelled',
    ...(keptDetails !== undefined &&
      Buffer.byteLength(JSON.stringify(keptDetails)) <= MAX_ERROR_DETAILS_BYTES && { errorDetails: keptDetails }),
    ...(isClientError && { agentStatus: Number(agentStatus) }),
  };
}
