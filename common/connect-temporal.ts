import { Client, Connection, defaultGrpcRetryOptions, makeGrpcRetryInterceptor } from '@temporalio/client';
import type { CommonConfig } from './environment.ts';

export interface TemporalConnections {
  client: Client;
  /** Starts the workflows in place of `client`: one on the connection of a worker in this process. */
  starter?: Client;
  /** For following histories: it does not retry, so that a watcher knows at once that it is cut off. */
  following: Connection;
  close: () => Promise<void>;
}

/**
 * Connections for serving HTTP: they do not wait for Temporal at start, give up within about a second when Temporal
 * is away (the client gets a 503 and asks again) and are back soon after Temporal is.
 */
export function connectTemporal({ connectionOptions, namespace }: CommonConfig['temporal']): TemporalConnections {
  const options = {
    ...connectionOptions,
    channelArgs: {
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1000,
      // A history holds up to five copies of inputs and results; gRPC stops at 4 MiB unless told not to.
      'grpc.max_receive_message_length': 64 * 1024 * 1024,
      // Channels of one process to one address share their socket unless told not to.
      'grpc.use_local_subchannel_pool': 1,
    },
  };
  const connection = Connection.lazy({
    ...options,
    interceptors: [makeGrpcRetryInterceptor(defaultGrpcRetryOptions({ maxAttempts: 4 }))],
  });
  const following = Connection.lazy({ ...options, interceptors: [] });
  return {
    client: new Client({ connection, namespace, workflow: { queryRejectCondition: 'NOT_COMPLETED_CLEANLY' } }),
    following,
    close: async () => {
      await Promise.all([connection.close(), following.close()]);
    },
  };
}
