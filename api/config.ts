import { z } from 'zod';
import { loadCommonConfig, readEnvironment, wholeNumber } from '../common/environment.ts';
import type { CommonConfig } from '../common/environment.ts';
import type { ExecutionPolicy } from '../workflows/contract.ts';

export interface ApiConfig extends CommonConfig {
  host: string;
  port: number;
  limits: ApiLimits;
  /** Base URL of the Temporal Web UI, for links from the pages. */
  temporalUiUrl?: string | undefined;
  /** What applies where an agent node does not say otherwise. */
  policy: ExecutionPolicy;
}

export interface ApiLimits {
  /** Longest that a synchronous call, and with it its execution, may take. */
  syncLimitMs: number;
  maxBodyBytes: number;
  maxResultBytes: number;
  /** Executions that one process follows at the same time; past it reads are one-shot. */
  maxWatchers: number;
  /** Event streams that one process serves at the same time. */
  maxStreams: number;
  /** A stream of which nothing was taken for so long is cut. */
  stallMs: number;
  /** Pause between looks for further executions of a run that is followed. */
  runLookMs: number;
}

const HOUR_MS = 3_600_000;
const STALL_MS = 15_000;

const apiEnvironment = z.object({
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: wholeNumber(0, 65_535).default(8080),
  PERDURE_TEMPORAL_UI_URL: z.url({ protocol: /^https?$/ }).optional(),
  PERDURE_SYNC_LIMIT_MS: wholeNumber(100, HOUR_MS).default(90_000),
  PERDURE_MAX_BODY_BYTES: wholeNumber(1024, 1800 * 1024).default(1024 * 1024),
  PERDURE_MAX_WATCHERS: wholeNumber(1, 100_000).default(1000),
  PERDURE_MAX_STREAMS: wholeNumber(1, 100_000).default(5000),
  PERDURE_RUN_LOOK_MS: wholeNumber(100, 60_000).default(2000),
  PERDURE_AGENT_MAX_ATTEMPTS: wholeNumber(1, 1000).default(5),
  PERDURE_AGENT_RETRY_INITIAL_MS: wholeNumber(1, HOUR_MS).default(1000),
  PERDURE_AGENT_RETRY_MAX_MS: wholeNumber(1, HOUR_MS).default(60_000),
  PERDURE_AGENT_HEARTBEAT_TIMEOUT_MS: wholeNumber(300, HOUR_MS).default(10_000),
  PERDURE_CANCEL_GRACE_MS: wholeNumber(0, HOUR_MS).default(10_000),
  PERDURE_AGENT_PATIENCE_MS: wholeNumber(0, 5_000).default(1000),
  PERDURE_WEBHOOK_MAX_ATTEMPTS: wholeNumber(1, 100).default(5),
  PERDURE_WEBHOOK_RETRY_INITIAL_MS: wholeNumber(1, HOUR_MS).default(5000),
  PERDURE_WEBHOOK_RETRY_MAX_MS: wholeNumber(1, 24 * HOUR_MS).default(300_000),
  PERDURE_WEBHOOK_TIMEOUT_MS: wholeNumber(100, 60_000).default(10_000),
});

export function loadApiConfig(env: NodeJS.ProcessEnv): ApiConfig {
  const read = readEnvironment(apiEnvironment, env);
  const common = loadCommonConfig(env);
  // A task that waits for an agent has to end well before a worker that is silent for so long is taken for dead.
  const patienceMs = Math.min(read.PERDURE_AGENT_PATIENCE_MS, read.PERDURE_AGENT_HEARTBEAT_TIMEOUT_MS / 2);
  return {
    ...common,
    host: read.HOST,
    port: read.PORT,
    temporalUiUrl: read.PERDURE_TEMPORAL_UI_URL?.replace(/\/+$/, ''),
    limits: {
      syncLimitMs: read.PERDURE_SYNC_LIMIT_MS,
      maxBodyBytes: read.PERDURE_MAX_BODY_BYTES,
      maxResultBytes: common.maxResultBytes,
      maxWatchers: read.PERDURE_MAX_WATCHERS,
      maxStreams: read.PERDURE_MAX_STREAMS,
      stallMs: STALL_MS,
      runLookMs: read.PERDURE_RUN_LOOK_MS,
    },
    policy: {
      agent: {
        maximumAttempts: read.PERDURE_AGENT_MAX_ATTEMPTS,
        initialIntervalMs: read.PERDURE_AGENT_RETRY_INITIAL_MS,
        backoffCoefficient: 2,
        maximumIntervalMs: Math.max(read.PERDURE_AGENT_RETRY_MAX_MS, read.PERDURE_AGENT_RETRY_INITIAL_MS),
        heartbeatTimeoutMs: read.PERDURE_AGENT_HEARTBEAT_TIMEOUT_MS,
        ...(patienceMs > 0 && { patienceMs }),
      },
      webhook: {
        maximumAttempts: read.PERDURE_WEBHOOK_MAX_ATTEMPTS,
        initialIntervalMs: read.PERDURE_WEBHOOK_RETRY_INITIAL_MS,
        backoffCoefficient: 2,
        maximumIntervalMs: Math.max(read.PERDURE_WEBHOOK_RETRY_MAX_MS, read.PERDURE_WEBHOOK_RETRY_INITIAL_MS),
        attemptTimeoutMs: read.PERDURE_WEBHOOK_TIMEOUT_MS,
      },
      cancelGraceMs: read.PERDURE_CANCEL_GRACE_MS,
    },
  };
}
