import { ServiceError, WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/client';

/** gRPC status codes (https://grpc.io/docs/guides/status-codes/). */
const GRPC = { CANCELLED: 1, DEADLINE_EXCEEDED: 4, NOT_FOUND: 5, RESOURCE_EXHAUSTED: 8, UNAVAILABLE: 14 } as const;

export { WorkflowExecutionAlreadyStartedError };

/** Temporal is down, overloaded or unreachable; asking again later may help. */
export function isOutage(err: unknown): boolean {
  const code = grpcCode(err);
  return code === GRPC.UNAVAILABLE || code === GRPC.DEADLINE_EXCEEDED || code === GRPC.RESOURCE_EXHAUSTED;
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
  const cause = err instanceof ServiceError ? err.cause : err;
  const code = (cause as { code?: unknown } | undefined)?.code;
  return typeof code === 'number' ? code : undefined;
}
