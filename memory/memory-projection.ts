import type { LoadedDataConverter } from '@temporalio/common';
import { decodeFirst } from '../common/decode-payload.ts';
import { isClose } from '../common/history-pages.ts';
import type { HistoryEvent } from '../common/history-pages.ts';
import type { AgentMemoryInput, MemoryName } from '../workflows/memory-contract.ts';
import { emptyMemory, foldWrite, memoryWriteOf } from '../workflows/memory-state.ts';
import type { MemoryState, Written } from '../workflows/memory-state.ts';

/** Projects the history of one Temporal run of a memory; what its events mean is the reducer's to say. */
export interface MemoryProjection {
  /** Undefined until the first event was folded, and once the memory is forgotten. */
  state: () => MemoryState | undefined;
  /** The run takes no more: no worker has let it go on in another one for long. */
  isFull: () => boolean;
  /** The memory goes on in another Temporal run. */
  hasNextRun: () => boolean;
  /** @returns what the write came to that the event brought */
  fold: (event: HistoryEvent) => Promise<{ id: string; written: Written } | undefined>;
}

/** Temporal takes 10,000 signals per run, and ends one of 50 MiB. */
const MAX_SIGNALS = 9_000;
const MAX_SIGNAL_BYTES = 32 * 1024 * 1024;

export function createMemoryProjection(name: MemoryName, converter: LoadedDataConverter | undefined): MemoryProjection {
  let state: MemoryState | undefined;
  let hasNextRun = false;
  let signals = 0;
  let signalBytes = 0;
  return {
    state: () => state,
    isFull: () => signals >= MAX_SIGNALS || signalBytes >= MAX_SIGNAL_BYTES,
    hasNextRun: () => hasNextRun,
    fold: async (event) => {
      const started = event.workflowExecutionStartedEventAttributes;
      if (started) {
        const input = await decodeFirst<AgentMemoryInput>(started.input, converter);
        state = input?.state ?? emptyMemory(name);
        return undefined;
      }
      const signal = event.workflowExecutionSignaledEventAttributes;
      if (signal && state) {
        signals += 1;
        signalBytes += signal.input?.payloads?.[0]?.data?.length ?? 0;
        const write = memoryWriteOf(signal.signalName ?? '', await decodeFirst(signal.input, converter));
        return write && { id: write.id, written: foldWrite(state, write) };
      }
      if (event.workflowExecutionContinuedAsNewEventAttributes) hasNextRun = true;
      else if (isClose(event)) state = undefined;
      return undefined;
    },
  };
}
