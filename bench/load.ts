import { setTimeout as sleep } from 'node:timers/promises';

/** One turn of the closed loop: what was timed, in milliseconds, and which workflow it made, if any. */
export interface Turn {
  answerMs?: number;
  webhookMs?: number;
  workflowId?: string;
}

export interface Load {
  concurrency: number;
  /** At least so long, and until every lane has ended a turn. */
  warmUpMs: number;
  measureMs: number;
  turn: () => Promise<Turn>;
  /** Called when the measured window opens and when it closes. */
  onWindow: (edge: 'opens' | 'closes') => void;
}

export interface LoadResult {
  turns: Turn[];
  seconds: number;
  errors: string[];
}

/** A lane that failed waits, so that a broken system is not hammered. */
const PAUSE_AFTER_ERROR_MS = 200;
const MAX_WARM_UP_MS = 15_000;

/**
 * Keeps so many turns going for a while. Counted are the turns that end within the window; the loop runs before and
 * after it, so that the window sees a steady state, without ramps.
 */
export async function closedLoop({ concurrency, warmUpMs, measureMs, turn, onWindow }: Load): Promise<LoadResult> {
  let phase: 'warm-up' | 'measuring' | 'over' = 'warm-up';
  const turns: Turn[] = [];
  const errors: string[] = [];

  const lane = async (onFirstTurn: () => void) => {
    while (phase !== 'over') {
      try {
        const done = await turn();
        if (phase === 'measuring') turns.push(done);
        onFirstTurn();
      } catch (err) {
        errors.push(err instanceof Error ? err.message : String(err));
        await sleep(PAUSE_AFTER_ERROR_MS);
      }
    }
  };
  const lanes: Promise<void>[] = [];
  const firstTurns = Array.from(
    { length: concurrency },
    () => new Promise<void>((resolve) => void lanes.push(lane(resolve))),
  );
  const patience = new AbortController();
  await Promise.race([
    Promise.all([sleep(warmUpMs), ...firstTurns]),
    sleep(MAX_WARM_UP_MS, undefined, { signal: patience.signal }).catch(() => undefined),
  ]);
  patience.abort();
  onWindow('opens');
  phase = 'measuring';
  const openedAt = performance.now();
  await sleep(measureMs);
  const seconds = (performance.now() - openedAt) / 1000;
  onWindow('closes');
  phase = 'over';
  await Promise.all(lanes);
  return { turns, seconds, errors };
}

export interface OpenLoad {
  ratePerS: number;
  count: number;
  turn: () => Promise<Turn>;
}

/**
 * Sends at fixed times, whether or not what was sent before is done: what users do who know nothing of each other.
 * Times count from the scheduled send, so that a sender that is held up hides nothing.
 */
export async function openLoop({ ratePerS, count, turn }: OpenLoad): Promise<{ turns: Turn[]; errors: string[] }> {
  const turns: Turn[] = [];
  const errors: string[] = [];
  const startsAt = performance.now();
  const one = async (scheduledAt: number) => {
    await sleep(Math.max(0, scheduledAt - performance.now()));
    const lateMs = Math.max(0, performance.now() - scheduledAt);
    try {
      turns.push(later(await turn(), lateMs));
    } catch (err) {
      errors.push(err instanceof Error ? err.message : String(err));
    }
  };
  await Promise.all(Array.from({ length: count }, (_, i) => one(startsAt + (i * 1000) / ratePerS)));
  return { turns, errors };
}

function later({ answerMs, webhookMs, ...turn }: Turn, lateMs: number): Turn {
  return {
    ...turn,
    ...(answerMs !== undefined && { answerMs: answerMs + lateMs }),
    ...(webhookMs !== undefined && { webhookMs: webhookMs + lateMs }),
  };
}
