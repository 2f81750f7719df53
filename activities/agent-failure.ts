import { ApplicationFailure } from '@temporalio/activity';
import { clip } from '../common/clip.ts';
import { findJsonFlaw } from '../common/json.ts';
import { retryAfterMs } from '../common/retry-after.ts';
import { WORKER_DIED } from '../workflows/endings.ts';
import type { AgentFailure, Json } from '../workflows/execution.ts';

/** A `Retry-After` of an agent is honoured up to here. */
const MAX_RETRY_AFTER_MS = 3_600_000;
const MAX_ERROR_TEXT = 1024;
export const MAX_ERROR_DETAILS_BYTES = 64 * 1024;

/** Failures of the connection itself: the agent may never have seen the call, or went away during it. */
const CONNECTION_ERRORS = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_CLOSED',
  'UND_ERR_DESTROYED',
]);

/** undici's words, under the code of a lost connection, for an unsolicited 100 or 101: the agent will say it again. */
const MALFORMED_ANSWERS = new Set(['bad response', 'bad upgrade']);

/**
 * The one place that decides what is worth calling an agent again for: an agent that could not be reached or went
 * away, 429 and 5xx. Everything else is its answer.
 */
export const agentFailures = {
  /** @param body text of the refusal, cut to what was worth reading */
  ofResponse(status: number, retryAfter: string | string[] | undefined, body: string): ApplicationFailure {
    const retryable = status === 429 || status >= 500;
    const delay = retryable ? retryAfterMs(retryAfter, MAX_RETRY_AFTER_MS) : undefined;
    const details = parseJson(body);
    return toFailure(
      {
        error: `agent error (${status}): ${clip(body, MAX_ERROR_TEXT) || 'no body'}`,
        category: status >= 300 && status < 400 ? 'bad_response' : 'agent_error',
        agentStatus: status,
        ...boundDetails(details),
      },
      { retryable, nextRetryDelayMs: delay },
    );
  },

  /** An `error` frame in the agent's stream. */
  ofFrame(frame: { error: string; retryable: boolean; details?: Json }): ApplicationFailure {
    return toFailure(
      {
        error: clip(frame.error, 4 * MAX_ERROR_TEXT),
        category: 'agent_error',
        ...boundDetails(frame.details),
      },
      { retryable: frame.retryable },
    );
  },

  ofException(err: unknown): ApplicationFailure {
    if (err instanceof ApplicationFailure) return err;
    const { code, message } = err as { code?: string; message?: string };
    const isMalformed = code === 'UND_ERR_SOCKET' && MALFORMED_ANSWERS.has(message ?? '');
    if (code !== undefined && CONNECTION_ERRORS.has(code) && !isMalformed)
      return toFailure({ error: `agent unreachable: ${code}`, category: 'agent_unreachable' }, { retryable: true });
    return toFailure(
      { error: `agent call failed: ${clip(message ?? String(err), MAX_ERROR_TEXT)}`, category: 'bad_response' },
      {},
    );
  },

  brokenStream: () =>
    toFailure({ error: 'agent ended its stream without a result', category: 'agent_unreachable' }, { retryable: true }),

  unknownNode: (node: string) =>
    toFailure(
      { error: `agent node "${node}" is not known to the worker`, category: 'node_unavailable' },
      { retryable: true },
    ),

  /** The workflow waits until somebody is there. */
  unserved: (node: string) =>
    toFailure(
      { error: `no instance of agent node "${node}" is there`, category: 'node_unavailable' },
      { retryable: true },
    ),

  instanceLost: () =>
    toFailure(
      { error: 'the instance of the agent node that had the call is gone', category: 'agent_unreachable' },
      { retryable: true },
    ),

  lost: () =>
    toFailure({ error: 'the worker no longer holds this call', category: 'internal_error' }, { retryable: true }),

  workerDied: () => toFailure(WORKER_DIED, {}),

  timeout: (timeoutMs: number) =>
    toFailure(
      {
        error: 'Agent timeout',
        category: 'agent_timeout',
        errorDetails: `Agent call exceeded ${timeoutMs / 1000} second limit`,
      },
      {},
    ),

  resultTooLarge: (maxBytes: number) =>
    toFailure({ error: `result is larger than the limit of ${maxBytes} bytes`, category: 'result_too_large' }, {}),

  badResult: (why: string) => toFailure({ error: `agent sent a bad result: ${why}`, category: 'bad_response' }, {}),
};

/** Measured as written out again: 1e20 is four bytes on the way in and twenty-one in history. */
function boundDetails(details: Json | undefined): { errorDetails?: Json } {
  const isKept = details !== undefined && Buffer.byteLength(JSON.stringify(details)) <= MAX_ERROR_DETAILS_BYTES;
  return isKept ? { errorDetails: details } : {};
}

function toFailure(
  failure: AgentFailure,
  { retryable = false, nextRetryDelayMs }: { retryable?: boolean; nextRetryDelayMs?: number | undefined },
): ApplicationFailure {
  return ApplicationFailure.create({
    message: failure.error,
    type: failure.category,
    nonRetryable: !retryable,
    // The delay once more: Temporal does not hand its own field on to workflow code.
    details: [failure, ...(nextRetryDelayMs === undefined ? [] : [nextRetryDelayMs])],
    ...(nextRetryDelayMs !== undefined && { nextRetryDelay: nextRetryDelayMs }),
  });
}

function parseJson(text: string): Json | undefined {
  try {
    const value = JSON.parse(text) as Json;
    return findJsonFlaw(value, { text: false }) ? undefined : value;
  } catch {
    return undefined;
  }
}
