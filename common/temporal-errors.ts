import { ServiceError, WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/client';

/** gRPC status codes (https://grpc.io/docs/guides/status-codes/). */
const GRPC = {
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  RESOURCE_EXHAUSTED: 8,
  UNAVAILABLE: 14,
} as const;

export { WorkflowExecutionAlreadyStartedError };

/** Temporal is down, overloaded or unreachable; asking again later may help. */
export function isOutage(err: unknown): boolean {
  const code = grpcCode(err);
  return code === GRPC.UNAVAILABLE || code === GRPC.DEADLINE_EXCEEDED || code === GRPC.RESOURCE_EXHAUSTED;
}

/** Temporal took too long: it, or for a query the worker that should answer it. */
export function isTimeout(err: unknown): boolean {
  return grpcCode(err) === GRPC.DEADLINE_EXCEEDED;
}

/**
 * The answer, or the failure of a call that took too long. For calls by the SDK's native connection, which goes on
 * trying for ten seconds whatever its deadline says; what comes of it then is not known.
 */
export async function inTime<T>(timeoutMs: number, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const err = Object.assign(new Error('Temporal did not answer in time'), { code: GRPC.DEADLINE_EXCEEDED });
    timer = setTimeout(() => reject(err), timeoutMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The namespace is missing, or lacks our search attributes: for an operator to mend. */
export function isMisconfigured(err: unknown): boolean {
  const { message } = (err instanceof ServiceError ? err.cause : err) as Error;
  return (
    (grpcCode(err) === GRPC.INVALID_ARGUMENT && /search attribute/i.test(message)) ||
    /namespace.*not found/i.test(message)
  );
}

/** The workflow has been sent as many signals as Temporal takes: 10,000. */
export function isLimitOfSignals(err: unknown): boolean {
  const { message } = (err instanceof ServiceError ? err.cause : err) as Error;
  return grpcCode(err) === GRPC.INVALID_ARGUMENT && /limit for signal/.test(message);
}

/** No such workflow, or none that is still open. */
export function isNotFound(err: unknown): boolean {
  return err instanceof WorkflowNotFoundError || grpcCode(err) === GRPC.NOT_FOUND;
}

/** We gave the call up ourselves. */
export function isAborted(err: unknown): boolean {
  return grpcCode(err) === GRPC.CANCELLED || (err as Error | undefined)?.name === 'AbortError';
}

function grpcCode(err: unknown): number | undefined {
  // That of the SDK's native connection passes for the client's, and is its own cause.
  const cause = err instanceof ServiceError ? (err.cause ?? err) : err;
  const code = (cause as { code?: unknown } | undefined)?.code;
  return typeof code === 'number' ? code : undefined;
}
