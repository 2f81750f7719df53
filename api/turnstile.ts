/** Lets so many in at a time; the others wait in order. */
export interface Turnstile {
  /** Resolves with what lets the next one in; with nothing to let go once the signal has aborted. */
  enter: (signal: AbortSignal) => Promise<() => void>;
}

export function createTurnstile(max: number): Turnstile {
  let inside = 0;
  const waiting = new Set<() => void>();

  function wakeNext(): void {
    const [next] = waiting;
    if (inside < max) next?.();
  }

  function turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const go = () => {
        waiting.delete(go);
        signal.removeEventListener('abort', go);
        resolve();
      };
      waiting.add(go);
      signal.addEventListener('abort', go, { once: true });
    });
  }

  return {
    enter: async (signal) => {
      while (inside >= max && !signal.aborted) await turn(signal);
      if (signal.aborted) {
        // It may have been its turn.
        wakeNext();
        return () => undefined;
      }
      inside += 1;
      let isInside = true;
      return () => {
        if (!isInside) return;
        isInside = false;
        inside -= 1;
        wakeNext();
      };
    },
  };
}
