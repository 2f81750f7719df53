/** For a system that all tests of a file share: collects what is to be closed after the last one. */
export function sharedContext(): { after: (close: () => void | Promise<void>) => void; close: () => Promise<void> } {
  const closers: (() => void | Promise<void>)[] = [];
  return {
    after: (close) => {
      closers.push(close);
    },
    close: async () => {
      for (const close of closers.toReversed()) await close();
    },
  };
}
