/** npm passes a signal on to us that the terminal has already sent: the two are one. */
const SAME_SIGNAL_MS = 500;

export interface StopSignalOptions {
  signals?: NodeJS.Signals[];
  /** What a second one does, of somebody who will not wait. */
  again?: () => void;
}

/**
 * Calls `stop` at the first SIGINT or SIGTERM; a second one ends the process at once.
 * @returns what takes a stop that comes in another way
 */
export function onStopSignal(
  stop: (signal: NodeJS.Signals) => void,
  { signals = ['SIGINT', 'SIGTERM'], again = () => process.exit(1) }: StopSignalOptions = {},
): (signal: NodeJS.Signals) => void {
  let stoppingSince: number | undefined;
  const receive = (signal: NodeJS.Signals) => {
    if (stoppingSince !== undefined) {
      if (performance.now() - stoppingSince >= SAME_SIGNAL_MS) again();
      return;
    }
    stoppingSince = performance.now();
    stop(signal);
  };
  for (const signal of signals) process.on(signal, receive);
  return receive;
}
