import { createParser } from 'eventsource-parser';
import { clip } from '../common/clip.ts';
import { findJsonFlaw } from '../common/json.ts';
import { other, readReport } from '../common/reports.ts';
import type { AgentReport, Json, JsonObject } from '../workflows/execution.ts';
import { agentFailures } from './agent-failure.ts';

/** One frame of a streamed answer: a report, or the last one, which is a result, a question or an error. */
export type Frame =
  | { kind: 'report'; report: AgentReport }
  | { kind: 'result'; result: Json }
  | { kind: 'waiting'; wait: JsonObject; checkpoint?: Json }
  | { kind: 'error'; error: string; retryable: boolean; details?: Json; partialResult?: Json };

export type StreamFormat = 'ndjson' | 'sse';

const NDJSON_TYPES = new Set(['application/x-ndjson', 'application/ndjson', 'application/jsonl']);

/** Which stream format a `Content-Type` announces, if any. */
export function streamFormat(contentType: string | undefined): StreamFormat | undefined {
  const mediaType = contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (mediaType === 'text/event-stream') return 'sse';
  return NDJSON_TYPES.has(mediaType) ? 'ndjson' : undefined;
}

/**
 * Reads the frames of a streamed answer.
 * @param maxBytes limit of one frame: a result past it ends the call
 */
export async function* readFrames(
  body: AsyncIterable<Uint8Array>,
  format: StreamFormat,
  maxBytes: number,
): AsyncGenerator<Frame> {
  const complete: Frame[] = [];
  const reader = format === 'sse' ? sseReader(complete, maxBytes) : lineReader(complete, maxBytes);
  const decoder = new TextDecoder();
  for await (const chunk of body) {
    reader.push(decoder.decode(chunk, { stream: true }));
    yield* complete.splice(0);
  }
  reader.push(decoder.decode());
  reader.end();
  yield* complete.splice(0);
}

interface FrameReader {
  push: (text: string) => void;
  end: () => void;
}

function lineReader(complete: Frame[], maxBytes: number): FrameReader {
  let rest = '';
  const take = (line: string) => {
    if (line.trim() !== '') complete.push(toFrame(undefined, line));
  };
  return {
    push: (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) take(line);
      if (rest.length > maxBytes) throw agentFailures.resultTooLarge(maxBytes);
    },
    end: () => take(rest),
  };
}

function sseReader(complete: Frame[], maxBytes: number): FrameReader {
  let sinceFrame = 0;
  const parser = createParser({
    onEvent: ({ event, data }) => {
      sinceFrame = 0;
      complete.push(toFrame(event, data));
    },
    // What keeps the connection open is part of no frame.
    onComment: () => {
      sinceFrame = 0;
    },
  });
  return {
    push: (text) => {
      sinceFrame += text.length;
      parser.feed(text);
      if (sinceFrame > maxBytes + text.length) throw agentFailures.resultTooLarge(maxBytes);
    },
    end: () => parser.reset({ consume: true }),
  };
}

function toFrame(event: string | undefined, text: string): Frame {
  const fields = parseObject(text);
  if (!fields) return { kind: 'report', report: other('unparsable', { text: clip(text, 200) }) };
  // `message` is what SSE calls an event that has no name.
  const named = event === 'message' ? undefined : event;
  const name = named ?? (typeof fields.type === 'string' ? fields.type : 'unknown');
  switch (name) {
    case 'result':
      return { kind: 'result', result: fields.result ?? null };
    case 'waiting': {
      const { type: _, id: __, checkpoint, ...wait } = fields;
      return { kind: 'waiting', wait, ...(checkpoint !== undefined && { checkpoint }) };
    }
    case 'error':
      return {
        kind: 'error',
        error: typeof fields.error === 'string' ? fields.error : 'the agent reported an error without a text',
        retryable: fields.retryable === true,
        ...(fields.error_details !== undefined &&
          !findJsonFlaw(fields.error_details, { text: false }) && { details: fields.error_details }),
        ...(fields.partial_result !== undefined &&
          !readReport('partial_result', { data: fields.partial_result }).flaw && {
            partialResult: fields.partial_result,
          }),
      };
    default:
      return { kind: 'report', report: readReport(name, fields).report };
  }
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value = JSON.parse(text) as Json;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
