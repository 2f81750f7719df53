import type { LoadedDataConverter } from '@temporalio/common';
import { decodeFirst } from '../common/decode-payload.ts';
import type { ReadPage } from '../common/history-pages.ts';
import { isNotFound } from '../common/temporal-errors.ts';
import { memberSignal, RUN_CANCELLED } from '../workflows/run-contract.ts';
import type { RosterInput, RunMember } from '../workflows/run-contract.ts';

/** What is written down of a run. */
export interface Roster {
  /** In the order in which they joined, each once. */
  members: RunMember[];
  /** The run was cancelled: nobody joins any more. */
  isShut: boolean;
}

/** Rosters that a run has had before the one at hand: each ends after a week. */
const MAX_EARLIER = 100;

/** Reads a roster as Temporal has it now. @returns undefined where nobody has joined the run by its id */
export async function readRoster(
  readPage: ReadPage,
  converter: LoadedDataConverter | undefined,
  workflowId: string,
): Promise<Roster | undefined> {
  const members: RunMember[][] = [];
  let isShut: boolean | undefined;
  let runId: string | undefined;
  for (let runs = 0; runs <= MAX_EARLIER; runs++) {
    const read = await readRun(readPage, converter, workflowId, runId);
    // What an old one had is gone with it: its executions ended as long ago.
    if (!read) break;
    members.unshift(read.members);
    isShut ??= read.isShut;
    runId = read.previousRunId;
    if (runId === undefined) break;
  }
  if (isShut === undefined) return undefined;
  const first = new Map<string, RunMember>();
  for (const member of members.flat()) if (!first.has(member.executionId)) first.set(member.executionId, member);
  return { members: [...first.values()], isShut };
}

async function readRun(
  readPage: ReadPage,
  converter: LoadedDataConverter | undefined,
  workflowId: string,
  runId: string | undefined,
): Promise<(Roster & Pick<RosterInput, 'previousRunId'>) | undefined> {
  const members: RunMember[] = [];
  let previousRunId: string | undefined;
  let isShut = false;
  let token = new Uint8Array();
  try {
    do {
      const { events, next } = await readPage(workflowId, token, runId === undefined ? {} : { runId });
      token = new Uint8Array(next);
      for (const event of events) {
        const started = event.workflowExecutionStartedEventAttributes;
        const signaled = event.workflowExecutionSignaledEventAttributes;
        if (started) ({ previousRunId } = (await decodeFirst<RosterInput>(started.input, converter)) ?? {});
        if (event.workflowExecutionTerminatedEventAttributes?.reason === RUN_CANCELLED) isShut = true;
        if (signaled?.signalName !== memberSignal.name) continue;
        const member = await decodeFirst<RunMember>(signaled.input, converter);
        if (member) members.push(member);
      }
    } while (token.length > 0);
  } catch (err) {
    if (isNotFound(err)) return undefined;
    throw err;
  }
  return { members, isShut, ...(previousRunId !== undefined && { previousRunId }) };
}
