import { Client, Connection, defaultGrpcRetryOptions, makeGrpcRetryInterceptor } from '@temporalio/client';
import type { CommonConfig } from '../common/environment.ts';

/**
 * A connection for serving HTTP: it does not wait for Temporal at start, gives up within about a second when Temporal
 * is away (the client gets a 503 and asks again) and is back soon after Temporal is.
 */
export function createTemporalClient({ connectionOptions, namespace }: CommonConfig['temporal']): Client {
  const connection = Connection.lazy({
    ...connectionOptions,
    interceptors: [makeGrpcRetryInterceptor(defaultGrpcRetryOptions({ maxAttempts: 4 }))],
    channelArgs: { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 1000 },
  });
  return new Client({ connection, namespace });
}
