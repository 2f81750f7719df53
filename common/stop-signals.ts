/** npm passes a signal on to us that the terminal has already sent: the two are one. */
const SAME_SIGNAL_MS = 500;

/** Calls `stop` at the first SIGINT or SIGTERM. A second one, of somebody who will not wait, ends the process at once. */
export function onStopSignal(stop: (signal: NodeJS.Signals) => void): void {
  let stoppingSince: number | undefined;
  const receive = (signal: NodeJS.Signals) => {
    if (stoppingSince !== undefined) {
      if (performance.now() - stoppingSince < SAME_SIGNAL_MS) return;
      process.exit(1);
    }
    stoppingSince = performance.now();
    stop(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, receive);
}
