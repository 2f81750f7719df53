/** One coroutine waits for things that many others bring about. */
export interface Wakeups {
  /** Something has happened: who waits looks again. */
  wake: () => void;
  /** Resolves as soon as it is so. Nobody else may wait meanwhile. */
  until: (isSo: () => boolean) => Promise<void>;
}

/** What the SDK's `condition` does, without the promises and stack traces that it makes for each. */
export function createWakeups(): Wakeups {
  let waiting: { isSo: () => boolean; resolve: () => void } | undefined;
  return {
    wake: () => {
      if (!waiting?.isSo()) return;
      waiting.resolve();
      waiting = undefined;
    },
    until: (isSo) =>
      isSo()
        ? Promise.resolve()
        : new Promise((resolve) => {
            waiting = { isSo, resolve };
          }),
  };
}
