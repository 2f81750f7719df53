import { CancellationScope } from '@temporalio/workflow';

/** Something that is under way. */
export interface Shielded<T> {
  done: Promise<T>;
  cancel: () => void;
}

/** Runs it where no cancel request of the workflow reaches it, and we alone can cancel it. */
export function shielded<T>(fn: () => Promise<T>): Shielded<T> {
  let scope: CancellationScope | undefined;
  const done = CancellationScope.nonCancellable(() => {
    // Made in here: one that is made outside is a child of the scope that the request cancels.
    scope = new CancellationScope();
    return scope.run(fn);
  });
  return { done, cancel: () => scope?.cancel() };
}
