import { workflowInfo } from '@temporalio/workflow';
import { startTimer } from './timer.ts';
import type { Timer } from './timer.ts';

/** The time that an execution may take, of all its Temporal runs together. It stands still while that is paused. */
export interface TimeLimit {
  /** Undefined: no limit. At least 1 while the execution goes on, for Temporal takes no less. */
  remainingMs: () => number | undefined;
  /** By the clock. */
  hasPassed: () => boolean;
  /** The workflow was woken for it. */
  hasFired: () => boolean;
  /** Has the workflow woken up when it has passed. */
  arm: () => void;
  /** Takes that back. */
  disarm: () => void;
  /** @param since ms since the epoch: it may have been a while until a worker took it up */
  pause: (since: number) => void;
  /** @param at ms since the epoch; unset: now */
  resume: (at?: number) => void;
  /** Of the pauses that are over: the one at hand is told by when it began. */
  endedPausesMs: () => number;
}

export interface TimeLimitSettings {
  limitMs: number | undefined;
  /** Of the first Temporal run, ms since the epoch. */
  startedAt: number;
  /** What earlier runs were paused for. */
  pausedMs: number;
  /** Called when something has changed that others may wait for. */
  onPassed: () => void;
}

export function createTimeLimit({ limitMs, startedAt, pausedMs, onPassed }: TimeLimitSettings): TimeLimit {
  let paused = pausedMs;
  let pausedSince: number | undefined;
  let timer: Timer | undefined;
  let isArmed = false;

  const pausedSoFar = () => paused + (pausedSince === undefined ? 0 : Date.now() - pausedSince);
  const left = (ofMs: number) => startedAt + ofMs + pausedSoFar() - Date.now();

  function start(): void {
    if (limitMs === undefined || timer || pausedSince !== undefined) return;
    timer = startTimer(Math.max(1, left(limitMs)), onPassed);
  }

  function stop(): void {
    if (timer?.isOver()) return;
    timer?.stop();
    timer = undefined;
  }

  return {
    remainingMs: () => (limitMs === undefined ? undefined : Math.max(1, left(limitMs))),
    hasPassed: () => limitMs !== undefined && left(limitMs) <= 0,
    hasFired: () => timer?.isOver() === true,
    arm: () => {
      isArmed = true;
      start();
    },
    disarm: () => {
      isArmed = false;
      stop();
    },
    pause: (since) => {
      // The two clocks may differ: it is never paused from before it began, nor from later on.
      pausedSince ??= Math.min(Date.now(), Math.max(since, startedAt));
      stop();
    },
    resume: (at = Date.now()) => {
      if (pausedSince !== undefined) paused += Math.max(0, Math.min(at, Date.now()) - pausedSince);
      pausedSince = undefined;
      if (isArmed) start();
    },
    endedPausesMs: () => paused,
  };
}

/** When the Temporal run at hand began, ms since the epoch. */
export function runStartedAt(): number {
  return workflowInfo().startTime.getTime();
}
