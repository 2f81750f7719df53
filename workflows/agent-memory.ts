import { condition, continueAsNew, setDefaultSignalHandler, workflowInfo } from '@temporalio/workflow';
import type { AgentMemoryInput } from './memory-contract.ts';
import { emptyMemory, foldWrite, memoryWriteOf } from './memory-state.ts';
import { startTimer } from './timer.ts';

/** A run is read from its beginning by each process that wants to know the memory: it is kept short. */
const MAX_RUN_EVENTS = 2_000;
const MAX_RUN_BYTES = 6 * 1024 * 1024;
const FORGET_AFTER_MS = 30 * 24 * 3_600_000;

/**
 * What agents remember in one scope: a JSON document that signals change. Whoever wants to know it reads the history,
 * so all that there is to do here is to keep that short, and to forget what belonged to a run that is long over.
 */
export async function agentMemory(input: AgentMemoryInput): Promise<void> {
  const { scope, maxRunEvents = MAX_RUN_EVENTS, forgetAfterMs = FORGET_AFTER_MS, state = emptyMemory(input) } = input;
  let writtenAt = Date.now();
  let isForgotten = false;
  setDefaultSignalHandler((name, message) => {
    const write = memoryWriteOf(name, message);
    if (!write) return;
    foldWrite(state, write);
    writtenAt = Date.now();
  });

  function forgetIn(ms: number): void {
    startTimer(ms, () => {
      const restMs = writtenAt + forgetAfterMs - Date.now();
      if (restMs > 0) forgetIn(restMs);
      else isForgotten = true;
    });
  }
  // One timer at a time, not one per write.
  if (scope === 'workflow') forgetIn(forgetAfterMs);

  const isLong = () => {
    const { historyLength, historySize } = workflowInfo();
    return historyLength >= maxRunEvents || historySize >= MAX_RUN_BYTES;
  };
  await condition(() => isForgotten || isLong());
  if (!isForgotten) return continueAsNew<typeof agentMemory>({ ...input, state });
}
