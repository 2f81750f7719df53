import type { Dispatcher } from 'undici';
import { findJsonFlaw } from '../common/json.ts';
import { readEndOfTurn } from '../common/wait-request.ts';
import type { AgentAnswer } from '../workflows/contract.ts';
import type { AgentReport, Json, JsonObject, WaitRequest } from '../workflows/execution.ts';
import { agentFailures, MAX_ERROR_DETAILS_BYTES } from './agent-failure.ts';
import { readFrames, streamFormat } from './agent-frames.ts';
import type { StreamFormat } from './agent-frames.ts';
import { readBody, readText } from './body.ts';
import type { ReportBatcher } from './report-batcher.ts';

/** How long an answer that is already understood may go on. */
const BODY_PATIENCE_MS = 2_000;

/** An answer that is there as a whole, or one that there is something to report of before it is. */
export type ReadAnswer = AgentAnswer | { kind: 'stream'; follow: (reporting: Reporting) => Promise<AgentAnswer> };

export interface Reporting {
  /** For what can be left out. */
  batcher: ReportBatcher;
  /** For what cannot: resolves when Temporal has it. */
  report: (reports: AgentReport[]) => Promise<void>;
}

/** With this header set to `waiting` an agent says that its answer is no result, but what it wants to know. */
const STATUS_HEADER = 'perdure-status';

/**
 * Understands the three answers of an agent: a result, `202` with callbacks to come, a stream of frames. Throws what
 * `agent-failure.ts` makes of a refusal.
 */
export async function readAnswer(
  { statusCode, headers, body }: Dispatcher.ResponseData,
  maxResultBytes: number,
): Promise<ReadAnswer> {
  if (statusCode === 202) {
    // The head alone acknowledges: an agent that leaves the body open must not be called again for it.
    body.dump({ limit: MAX_ERROR_DETAILS_BYTES, signal: AbortSignal.timeout(BODY_PATIENCE_MS) }).catch(() => undefined);
    return { kind: 'accepted' };
  }
  if (statusCode < 200 || statusCode >= 300)
    throw agentFailures.ofResponse(statusCode, headers['retry-after'], await readRefusal(body));

  const encoding = String(headers['content-encoding'] ?? '')
    .trim()
    .toLowerCase();
  if (encoding !== '' && encoding !== 'identity')
    throw agentFailures.badResult(`encoded as ${encoding.slice(0, 64)}, which was not asked for`);
  const contentType = headers['content-type'];
  const format = streamFormat(Array.isArray(contentType) ? contentType[0] : contentType);
  if (format) {
    return { kind: 'stream', follow: (reporting) => followStream(body, format, maxResultBytes, reporting) };
  }
  const bytes = await readBody(body, maxResultBytes);
  if (!bytes) throw agentFailures.resultTooLarge(maxResultBytes);
  const result = checkResult(parseResult(bytes), maxResultBytes);
  if (String(headers[STATUS_HEADER] ?? '').toLowerCase() !== 'waiting') return { kind: 'result', result };
  const { waiting, checkpoint } = isObject(result) ? result : {};
  const wait = checkWait(waiting, checkpoint);
  return { kind: 'stream', follow: ({ report }) => endTurn(wait, checkpoint, report) };
}

/** What the agent wants to have again is recorded before its turn is over. */
async function endTurn(
  wait: WaitRequest,
  checkpoint: Json | undefined,
  report: Reporting['report'],
): Promise<AgentAnswer> {
  if (checkpoint !== undefined)
    await report([{ type: 'other', name: 'checkpoint', data: { data: checkpoint }, endsTurn: true }]);
  return { kind: 'waiting', wait };
}

function checkWait(fields: Json | undefined, checkpoint: Json | undefined): WaitRequest {
  const read = readEndOfTurn(fields, checkpoint);
  if ('flaw' in read) throw agentFailures.badResult(`${read.flaw.path}: ${read.flaw.message}`);
  return read.wait;
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

async function followStream(
  body: AsyncIterable<Uint8Array>,
  format: StreamFormat,
  maxResultBytes: number,
  { batcher, report }: Reporting,
): Promise<AgentAnswer> {
  try {
    for await (const frame of readFrames(body, format, maxResultBytes)) {
      switch (frame.kind) {
        case 'report':
          await batcher.add(frame.report);
          break;
        case 'result':
          return { kind: 'result', result: checkResult(frame.result, maxResultBytes) };
        case 'waiting': {
          const wait = checkWait(frame.wait, frame.checkpoint);
          await batcher.end();
          return await endTurn(wait, frame.checkpoint, report);
        }
        case 'error':
          if (frame.partialResult !== undefined)
            await batcher.add({ type: 'other', name: 'partial_result', data: { data: frame.partialResult } });
          throw agentFailures.ofFrame(frame);
      }
    }
  } finally {
    // What the agent said before its end belongs before the outcome.
    await batcher.end();
  }
  throw agentFailures.brokenStream();
}

/** A result must fit into history, also after it was written out again, and must not break recursive code. */
function checkResult(result: Json, maxBytes: number): Json {
  const flaw = findJsonFlaw(result, { text: false });
  if (flaw) throw agentFailures.badResult(`${flaw.flaw} at ${flaw.path}`);
  if (Buffer.byteLength(JSON.stringify(result)) > maxBytes) throw agentFailures.resultTooLarge(maxBytes);
  return result;
}

/** The start of what an agent says about its failure, as far as it comes soon. */
function readRefusal(body: Dispatcher.ResponseData['body']): Promise<string> {
  const timer = setTimeout(() => body.destroy(), BODY_PATIENCE_MS);
  return readText(body, MAX_ERROR_DETAILS_BYTES)
    .catch(() => '')
    .finally(() => clearTimeout(timer));
}

/** JSON if it is JSON, else the text as it stands. */
function parseResult(bytes: Buffer): Json {
  // Drops a byte order mark, which JSON.parse does not take.
  const text = new TextDecoder().decode(bytes);
  if (text.trim() === '') return null;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}
