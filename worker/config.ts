import { z } from 'zod';
import { loadCommonConfig, readEnvironment, wholeNumber } from '../common/environment.ts';
import type { CommonConfig } from '../common/environment.ts';

export interface WorkerConfig extends CommonConfig {
  publicUrl: string;
  maxConcurrentActivities: number;
  shutdownGraceMs: number;
  /** Of requests to Temporal and, because it answers in kind, of what it sends. */
  grpcCompression: 'none' | 'gzip';
}

const workerEnvironment = z.object({
  PERDURE_PUBLIC_URL: z.url({ protocol: /^https?$/ }).default('http://localhost:8080'),
  PERDURE_MAX_CONCURRENT_ACTIVITIES: wholeNumber(1, 10_000).default(500),
  PERDURE_SHUTDOWN_GRACE_MS: wholeNumber(0, 3_600_000).default(10_000),
  PERDURE_GRPC_COMPRESSION: z.enum(['none', 'gzip']).default('none'),
});

export function loadWorkerConfig(env: NodeJS.ProcessEnv): WorkerConfig {
  const read = readEnvironment(workerEnvironment, env);
  return {
    ...loadCommonConfig(env),
    publicUrl: read.PERDURE_PUBLIC_URL.replace(/\/+$/, ''),
    maxConcurrentActivities: read.PERDURE_MAX_CONCURRENT_ACTIVITIES,
    shutdownGraceMs: read.PERDURE_SHUTDOWN_GRACE_MS,
    grpcCompression: read.PERDURE_GRPC_COMPRESSION,
  };
}
