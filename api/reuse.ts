import type { LoadedDataConverter } from '@temporalio/common';
import { canonicalJson } from '../common/json.ts';
import { mapLimited } from '../common/map-limited.ts';
import type { ExecuteTargetInput } from '../workflows/contract.ts';
import { formatTarget } from '../workflows/execution.ts';
import type { Target } from '../workflows/execution.ts';
import { isRerun, rootOfRunId } from '../workflows/run-contract.ts';
import { ApiError } from './errors.ts';
import type { Executions } from './executions.ts';
import type { Histories } from './histories.ts';
import type { Runs } from './runs.ts';
import { readStartInput } from './start-input.ts';

/** Results that calls of a restarted run have from the run before. */
export interface Reuse {
  /** @returns undefined where the agent is to be called */
  find: (runId: string, target: Target, call: Call) => Promise<ExecuteTargetInput['reused']>;
  /** Throws `too_many_executions` where a run is too large for it. */
  check: (runId: string) => Promise<void>;
}

export interface Call {
  input: object;
  context?: object | undefined;
}

interface Known {
  executionId: string;
  completedAt: string;
}

/** Of each execution of the old run the beginning is read. */
const MAX_EXECUTIONS = 1_000;
const PARALLEL_READS = 32;
/** Indexes of old runs that one process keeps, and for how long: an old run may still go on. */
const MAX_INDEXES = 32;
const INDEX_MS = 10_000;

export interface ReuseDeps {
  runs: Pick<Runs, 'find' | 'read'>;
  histories: Histories;
  executions: Pick<Executions, 'find'>;
  converter: LoadedDataConverter | undefined;
}

export function createReuse({ runs, histories, executions, converter }: ReuseDeps): Reuse {
  const indexes = new Map<string, Promise<Map<string, Known>>>();

  function indexOf(runId: string): Promise<Map<string, Known>> {
    const known = indexes.get(runId);
    if (known) return known;
    const [oldest] = indexes.keys();
    if (indexes.size >= MAX_INDEXES && oldest !== undefined) indexes.delete(oldest);
    const index = readIndex(runId);
    indexes.set(runId, index);
    const forget = () => indexes.get(runId) === index && indexes.delete(runId);
    index.then(() => setTimeout(forget, INDEX_MS).unref(), forget);
    return index;
  }

  /** Of several calls that were the same the one that joined first counts. */
  async function readIndex(runId: string): Promise<Map<string, Known>> {
    const children = (await placesOf(runId)).filter(({ depth }) => depth > 0);
    const states = await runs.read(children);
    const index = new Map<string, Known>();
    const keys = await mapLimited(states, PARALLEL_READS, async (state) => {
      if (state?.outcome?.status !== 'succeeded') return undefined;
      const began = await readStartInput(histories.readPage, converter, state.executionId);
      return began && keyOf(began.target, began);
    });
    for (const [i, key] of keys.entries()) {
      const { executionId, outcome } = states[i] ?? {};
      if (key === undefined || executionId === undefined || !outcome || index.has(key)) continue;
      index.set(key, { executionId, completedAt: outcome.completedAt });
    }
    return index;
  }

  async function placesOf(runId: string) {
    const { places } = await runs.find(runId);
    if (places.length <= MAX_EXECUTIONS) return places;
    throw new ApiError(
      'too_many_executions',
      `results of a run of more than ${MAX_EXECUTIONS} executions are not reused`,
    );
  }

  return {
    check: async (runId) => void (await placesOf(runId)),

    find: async (runId, target, call) => {
      const rootId = isRerun(runId) ? rootOfRunId(runId) : undefined;
      const root = rootId === undefined ? undefined : await executions.find(rootId);
      if (root?.runId !== runId || !root.restartOf?.reuse) return undefined;
      const { runId: sourceRunId, reuse } = root.restartOf;
      const known = (await indexOf(sourceRunId)).get(keyOf(target, call));
      if (!known || (reuse.before !== undefined && known.completedAt > reuse.before)) return undefined;
      const source = await executions.find(known.executionId);
      if (source?.outcome?.status !== 'succeeded') return undefined;
      return { executionId: known.executionId, result: source.outcome.result };
    },
  };
}

/** The same for calls that mean the same. */
function keyOf(target: Target, { input, context = {} }: Call): string {
  return canonicalJson([formatTarget(target), input, context]);
}
