/**
 * The world of the comparison in real time: a five-minute task and what goes wrong around it. Every span is divided by
 * one factor, the same for the work, all timeouts, all pauses and all mean times between faults.
 */
export const FACTOR = 100;

const SECOND_MS = 1000 / FACTOR;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** A span as it is in the world, for the report. */
export function inRealTime(ms: number): string {
  const seconds = (ms * FACTOR) / 1000;
  if (seconds < 90) return `${Number(seconds.toPrecision(3))} s`;
  const minutes = seconds / 60;
  return minutes < 60 ? `${Number(minutes.toPrecision(3))} min` : `${Number((minutes / 60).toPrecision(3))} h`;
}

export const TASK_MS = 5 * MINUTE_MS;
/** The client wants to know by then. */
export const DEADLINE_MS = HOUR_MS;
/** What it learns after the deadline and before this is late; nothing until then is lost or stuck. */
export const OBSERVED_MS = 70 * MINUTE_MS;

/** Common to all patterns, so that they differ in nothing but the pattern. */
export const POLICY = {
  /** One call of the agent. Past it the execution ends as `timeout`; it is not called again. */
  agentTimeoutMs: 10 * MINUTE_MS,
  /** Pause before the second call of the agent; doubles. */
  agentRetryMs: SECOND_MS,
  webhookTimeoutMs: MINUTE_MS,
  /** Pause before the second attempt at a webhook; doubles. */
  webhookRetryMs: 5 * SECOND_MS,
  attempts: 5,
  sseHeartbeatMs: 15 * SECOND_MS,
  /** A client submits again after so long, under the same key, … */
  submitRetryMs: 10 * SECOND_MS,
  submitTimeoutMs: 2 * MINUTE_MS,
  /** … until so long after the first try: then it was refused. */
  submitPatienceMs: 30 * MINUTE_MS,
  reconnectMs: 2 * SECOND_MS,
  /** A client that waits for a webhook asks by itself when none has come in this time, … */
  pollAfterMs: 12 * MINUTE_MS,
  /** … and then as often as this. */
  pollEveryMs: MINUTE_MS,
  pollTimeoutMs: MINUTE_MS,
  /**
   * Perdure: a worker that is silent for so long is dead. The one span that is not compressed: it has to be longer than
   * a restart of the Temporal server, which no factor makes faster. Half of Perdure's default.
   */
  perdureHeartbeatTimeoutMs: 5_000,
} as const;

/** What happens in the world at fault rate 1. A level multiplies rates and probabilities, never spans. */
export const FAULTS = {
  /** Every process of an orchestrator is killed with -9 as often as this … */
  killEveryMs: 2 * HOUR_MS,
  /** … and started again after so long (its boot comes on top and cannot be compressed). */
  restartAfterMs: 10 * SECOND_MS,
  /** The receiving side goes away: webhooks get 503, streams break, nothing is polled. */
  outageEveryMs: 2 * HOUR_MS,
  outageMs: 3 * MINUTE_MS,
  /** Any connection between client and service breaks, per connection … */
  cutEveryMs: HOUR_MS,
  /** … and is cut when it was idle for so long, at every level above none. */
  idleLimitMs: MINUTE_MS,
  /** Per call of the agent. */
  agentErrorProbability: 0.005,
  agentCrashProbability: 0.005,
  /** Per execution: the agent hangs on it whenever it is called. */
  agentHangProbability: 0.002,
} as const;

/** Named fault rates; others are written as numbers. */
export const LEVELS = { none: 0, light: 1, heavy: 4 } as const;

export interface Level {
  name: string;
  rate: number;
}

export function parseLevel(text: string): Level {
  if (Object.hasOwn(LEVELS, text)) return { name: text, rate: LEVELS[text as keyof typeof LEVELS] };
  const rate = Number(text);
  if (text.trim() === '' || !Number.isFinite(rate) || rate < 0 || rate > 100)
    throw new Error(`--levels: ${text} is neither ${Object.keys(LEVELS).join(', ')} nor a fault rate from 0 to 100`);
  const named = Object.entries(LEVELS).find(([, known]) => known === rate);
  return { name: named ? named[0] : `x${rate}`, rate };
}
