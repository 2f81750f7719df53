import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { Logger } from '../common/logger.ts';
import { isOutage } from '../common/temporal-errors.ts';

/** The public contract of refusals: each code has one HTTP status. */
const STATUS_OF = {
  malformed_json: 400,
  invalid_request: 400,
  malformed_request: 400,
  invalid_target: 400,
  invalid_header: 400,
  origin_not_allowed: 403,
  target_not_found: 404,
  execution_not_found: 404,
  node_not_found: 404,
  step_not_found: 404,
  run_not_found: 404,
  batch_not_found: 404,
  memory_not_found: 404,
  route_not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  conflicting_callback: 409,
  execution_finished: 409,
  execution_not_finished: 409,
  no_checkpoint: 409,
  no_webhook: 409,
  run_cancelled: 409,
  run_webhook_registered: 409,
  delivery_in_progress: 409,
  not_paused: 409,
  not_waiting: 409,
  context_changed: 409,
  message_id_reused: 409,
  turn_over: 409,
  turn_not_begun: 409,
  step_differs: 409,
  too_many_deliveries: 409,
  memory_full: 409,
  body_too_large: 413,
  result_too_large: 413,
  memory_value_too_large: 413,
  expectation_failed: 417,
  idempotency_key_reused: 422,
  patch_not_applicable: 422,
  nothing_accepted: 422,
  too_many_executions: 422,
  websocket_required: 426,
  too_many_reports: 429,
  too_many_messages: 429,
  too_many_instances: 429,
  too_many_steps: 429,
  too_many_writes: 429,
  headers_too_large: 431,
  internal_error: 500,
  temporal_misconfigured: 500,
  not_implemented: 501,
  temporal_unavailable: 503,
  too_many_streams: 503,
} as const satisfies Record<string, ContentfulStatusCode>;

/** Whoever gets one of these, and works on the execution, may stop. */
const TELLS_TO_STOP = new Set<ErrorCode>(['execution_finished', 'conflicting_callback', 'run_cancelled']);

export type ErrorCode = keyof typeof STATUS_OF;
export const ERROR_CODES = Object.keys(STATUS_OF) as ErrorCode[];

/** One flaw of a request: where it is and what is wrong, never the value itself. */
export interface Flaw {
  path: string;
  message: string;
}

/** A refusal whose reason is known. `detail` is written for whoever made the request. */
export class ApiError extends Error {
  readonly code: ErrorCode;
  readonly errors: Flaw[] | undefined;
  readonly executionId: string | undefined;
  readonly retryAfterS: number | undefined;
  /** Further members of the problem. */
  readonly members: Record<string, unknown> | undefined;

  constructor(
    code: ErrorCode,
    detail: string,
    more: { errors?: Flaw[]; executionId?: string; retryAfterS?: number; members?: Record<string, unknown> } = {},
  ) {
    super(detail);
    this.code = code;
    this.errors = more.errors;
    this.executionId = more.executionId;
    this.retryAfterS = more.retryAfterS;
    this.members = more.members;
  }
}

const OUTAGE_RETRY_AFTER_S = 2;

/** A signal was sent, but what it was to bring about has not shown. Sending the same again is safe. */
export function notSeen(executionId?: string): ApiError {
  return new ApiError('temporal_unavailable', 'not known yet whether this was recorded; send it again', {
    ...(executionId !== undefined && { executionId }),
    retryAfterS: OUTAGE_RETRY_AFTER_S,
  });
}

/**
 * Turns whatever a handler threw into problem details (RFC 9457) that AgentField clients can read too.
 * @param moreOf further members
 */
export function errorHandler(logger: Logger, moreOf?: (err: ApiError) => Record<string, unknown>) {
  return (err: unknown, c: Context): Response => {
    const known = toApiError(err);
    if (known.code === 'internal_error') logger.error({ request_id: c.get('requestId'), err }, 'request failed');
    if (known.code === 'temporal_unavailable')
      logger.warn({ request_id: c.get('requestId'), error: String(err) }, 'Temporal cannot be reached');
    return problem(c, known, moreOf?.(known));
  };
}

export function toApiError(err: unknown): ApiError {
  if (err instanceof ApiError) return err;
  if (isOutage(err))
    return new ApiError(
      'temporal_unavailable',
      'Temporal cannot be reached at the moment; ask again (with an Idempotency-Key that is always safe)',
      {
        retryAfterS: OUTAGE_RETRY_AFTER_S,
      },
    );
  if (err instanceof HTTPException && err.status === 413) return new ApiError('body_too_large', err.message);
  return new ApiError('internal_error', 'internal error; the log has it under this request_id');
}

/** `error` is AgentField's text, `code` is for programs, `errors` names each flaw by its path. */
export function problem(c: Context, err: ApiError, more: Record<string, unknown> = {}): Response {
  if (err.retryAfterS !== undefined) c.header('Retry-After', String(err.retryAfterS));
  const body = { ...problemBody(err, c.get('requestId') as string), ...more };
  return c.body(JSON.stringify(body), body.status, { 'Content-Type': PROBLEM_TYPE });
}

export const PROBLEM_TYPE = 'application/problem+json';

export function problemBody(err: ApiError, requestId: string) {
  return {
    type: 'about:blank',
    title: err.code.replaceAll('_', ' '),
    status: STATUS_OF[err.code],
    code: err.code,
    detail: err.message,
    error: err.message,
    request_id: requestId,
    ...(err.errors && { errors: err.errors }),
    ...(err.executionId !== undefined && { execution_id: err.executionId }),
    ...(TELLS_TO_STOP.has(err.code) && { control: 'cancel' }),
    ...err.members,
  };
}
