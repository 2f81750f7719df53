import type { Context } from '@temporalio/activity';

/** Beats this often per heartbeat timeout; calls shorter than the first beat cost the server nothing. */
const BEATS_PER_TIMEOUT = 3;

/** Keeps an activity known to be alive, and lets it learn that it was cancelled. */
export function startHeartbeat(context: Context): { stop: () => void } {
  const timeoutMs = context.info.heartbeatTimeoutMs;
  if (timeoutMs === undefined) return { stop: () => undefined };
  const timer = setInterval(() => context.heartbeat(), timeoutMs / BEATS_PER_TIMEOUT);
  return { stop: () => clearInterval(timer) };
}
