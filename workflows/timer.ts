import { sleep } from '@temporalio/workflow';
import { shielded } from './shielded.ts';

export interface Timer {
  isOver: () => boolean;
  stop: () => void;
}

/** A timer that no cancel request touches: what one ends is decided elsewhere. */
export function startTimer(ms: number, onOver: () => void): Timer {
  let isOver = false;
  const { done, cancel } = shielded(() => sleep(ms));
  void done.then(
    () => {
      isOver = true;
      onOver();
    },
    () => undefined,
  );
  return { isOver: () => isOver, stop: cancel };
}
