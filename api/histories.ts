import type { Connection } from '@temporalio/client';
import type { LoadedDataConverter } from '@temporalio/common';
import type { temporal } from '@temporalio/proto';
import { createPageReader } from '../common/history-pages.ts';
import type { ReadPage } from '../common/history-pages.ts';
import type { ExecutionState } from '../workflows/state.ts';
import type { LogPart, LogRecord } from './log.ts';
import type { ReadState } from './pending.ts';
import { createProjection } from './projection.ts';
import type { Projection, ProjectionOptions } from './projection.ts';
import { isAborted, isNotFound, isOutage } from '../common/temporal-errors.ts';

type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

/** Reads workflow histories from Temporal, which needs no worker and is always strongly consistent. */
export interface Histories {
  project: (executionId: string, options?: ProjectionOptions) => Projection;
  /**
   * The log after that entry, up to now, page by page: also what earlier Temporal runs of the execution have of it.
   * Throws not found.
   */
  readLog: (executionId: string, after: number) => AsyncGenerator<LogPart>;
  readPage: ReadPage;
  /** The newest run of an execution, whole. `isClosed`: nothing more will be added to it. */
  readNow: (executionId: string) => Promise<{ state: ReadState; isClosed: boolean; runId: string } | undefined>;
  /**
   * Waits for the close of an execution that this process has just started: one long poll for one event, where
   * following the whole history takes six. With a webhook the close comes after the delivery.
   * @returns undefined when it has not closed in time, or closed in a way that its last event alone does not tell
   */
  waitForClose: (
    started: ExecutionState,
    options: { timeoutMs: number; signal?: AbortSignal },
  ) => Promise<ExecutionState | undefined>;
}

export interface HistoriesDeps {
  connection: Connection;
  namespace: string;
  converter?: LoadedDataConverter;
}

export function createHistories({ connection, namespace, converter }: HistoriesDeps): Histories {
  const project: Histories['project'] = (executionId, options) => createProjection(executionId, converter, options);

  const readPage = createPageReader({ connection, namespace });

  async function* logOfRun(executionId: string, after: number, runId?: string): AsyncGenerator<LogPart> {
    let records: LogRecord[] = [];
    const projection = project(executionId, { onRecord: (record) => records.push(record) });
    let token = new Uint8Array();
    do {
      const isFirstPage = token.length === 0;
      const { events, next } = await readPage(executionId, token, { ...(runId !== undefined && { runId }) });
      for (const event of events) await projection.fold(event);
      token = new Uint8Array(next);
      const before = projection.before();
      if (isFirstPage && before?.runId !== undefined && before.sequence > after)
        for await (const part of logOfRun(executionId, after, before.runId))
          yield { ...part, isCaughtUp: false, isComplete: false };
      const nextRunId = projection.nextRunId();
      const isCaughtUp = token.length === 0 && nextRunId === undefined;
      const newer = records.filter(({ sequence }) => sequence > after);
      yield { records: newer, isCaughtUp, isComplete: isCaughtUp && projection.isClosed() };
      records = [];
      // A run that was asked for by its id is one that another has gone on from: who asked has that one.
      if (nextRunId !== undefined && runId === undefined)
        yield* logOfRun(executionId, Math.max(after, projection.state()?.sequence ?? 0));
    } while (token.length > 0);
  }

  async function readNow(executionId: string): ReturnType<Histories['readNow']> {
    const projection = project(executionId);
    let runId = '';
    try {
      let token = new Uint8Array();
      do {
        const { events, next } = await readPage(executionId, token);
        for (const event of events) {
          runId ||= event.workflowExecutionStartedEventAttributes?.originalExecutionRunId ?? '';
          await projection.fold(event);
        }
        token = new Uint8Array(next);
      } while (token.length > 0);
    } catch (err) {
      if (isNotFound(err)) return undefined;
      throw err;
    }
    // It went on in another run while this one was read.
    if (projection.nextRunId() !== undefined) return readNow(executionId);
    const state = projection.state();
    return state && { state, isClosed: projection.isClosed(), runId };
  }

  return {
    project,
    readPage,
    readLog: logOfRun,
    readNow,

    waitForClose: async (started, { timeoutMs, signal }) => {
      // Not AbortSignal.any over AbortSignal.timeout: on Node 20 nothing keeps that timeout from being collected.
      const given = new AbortController();
      const giveUp = () => given.abort();
      const timer = setTimeout(giveUp, timeoutMs);
      if (signal?.aborted) giveUp();
      signal?.addEventListener('abort', giveUp);
      const follow = given.signal;
      try {
        let token = new Uint8Array();
        for (;;) {
          const { events, next } = await readPage(started.executionId, token, { follow, filter: 'close' });
          const [close] = events;
          token = new Uint8Array(next);
          if (!close && token.length > 0) continue;
          if (!close || !carriesOutcome(close)) return undefined;
          const projection = project(started.executionId, { from: started });
          await projection.fold(close);
          return projection.state();
        }
      } catch (err) {
        // Whoever waits goes on by following the history, which sits outages out.
        if (isAborted(err) || isOutage(err)) return undefined;
        throw err;
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener('abort', giveUp);
      }
    },
  };
}

/** How an execution was cancelled, terminated or timed out stands in earlier events. */
function carriesOutcome(close: HistoryEvent): boolean {
  return Boolean(close.workflowExecutionCompletedEventAttributes ?? close.workflowExecutionFailedEventAttributes);
}
