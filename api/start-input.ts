import type { LoadedDataConverter } from '@temporalio/common';
import { decodeFirst } from '../common/decode-payload.ts';
import type { ReadPage } from '../common/history-pages.ts';
import type { ExecuteTargetInput, RedeliverWebhookInput } from '../workflows/contract.ts';

/** What an execution was started with. Throws not found. @returns undefined where Temporal no longer has it */
export async function readStartInput(
  readPage: ReadPage,
  converter: LoadedDataConverter | undefined,
  executionId: string,
): Promise<ExecuteTargetInput | undefined> {
  let runId: string | undefined;
  do {
    const { events } = await readPage(executionId, new Uint8Array(), runId === undefined ? {} : { runId });
    const started = events[0]?.workflowExecutionStartedEventAttributes;
    if (started?.workflowType?.name !== 'redeliverWebhook') return decodeFirst(started?.input, converter);
    // Its input has the outcome; what it began with stands in a Temporal run before.
    ({ previousRunId: runId } = (await decodeFirst<RedeliverWebhookInput>(started.input, converter)) ?? {});
  } while (runId !== undefined);
  return undefined;
}
