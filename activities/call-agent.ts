import { Context, log } from '@temporalio/activity';
import { request } from 'undici';
import type { Dispatcher } from 'undici';
import type { AgentNode, AgentNodeDirectory } from '../common/agent-nodes.ts';
import { findJsonFlaw } from '../common/json.ts';
import { agentReportSignal } from '../workflows/contract.ts';
import type { AgentAnswer, AgentCall } from '../workflows/contract.ts';
import type { AgentReport, Json, Target } from '../workflows/execution.ts';
import { agentFailures, MAX_ERROR_DETAILS_BYTES } from './agent-failure.ts';
import { readFrames, streamFormat } from './agent-frames.ts';
import type { StreamFormat } from './agent-frames.ts';
import { readBody, readText } from './body.ts';
import { startHeartbeat } from './heartbeat.ts';
import { createReportBatcher } from './report-batcher.ts';

export interface CallAgentDeps {
  agentNodes: AgentNodeDirectory;
  http: Dispatcher;
  /** Base URL under which agents reach the API. */
  publicUrl: string;
  maxResultBytes: number;
}

const MAX_TIMER_MS = 2 ** 31 - 1;

/** How long an answer that is already understood may go on. */
const BODY_PATIENCE_MS = 2_000;

/** What the frames of one call may bring into history, which ends at 50 MiB; past it only their names are kept. */
const MAX_REPORTED_BYTES = 8 * 1024 * 1024;

/**
 * Makes one call of one agent: `POST {url}/reasoners/{name}` (or `/skills/{name}`) with the input as the body, as
 * AgentField does, and understands its three answers: a result, `202` with callbacks to come, a stream of frames.
 */
export function createCallAgent({ agentNodes, http, publicUrl, maxResultBytes }: CallAgentDeps) {
  return async function callAgent(call: AgentCall): Promise<AgentAnswer> {
    const context = Context.current();
    const node = await agentNodes.find(call.target.node);
    if (!node) throw agentFailures.unknownNode(call.target.node);
    // Node's timers fire at once when they are set to more; Temporal's own timeout keeps such a limit.
    const { timeoutMs = Infinity } = call;
    const deadline = timeoutMs <= MAX_TIMER_MS ? AbortSignal.timeout(timeoutMs) : undefined;
    const heartbeat = startHeartbeat(context);
    try {
      const response = await request(agentUrl(node, call.target), {
        dispatcher: http,
        method: 'POST',
        headers: callHeaders(call, node, publicUrl, context.info.attempt),
        body: JSON.stringify(call.input),
        signal: deadline ? AbortSignal.any([context.cancellationSignal, deadline]) : context.cancellationSignal,
      });
      return await readAnswer(response);
    } catch (err) {
      if (context.cancellationSignal.aborted) return await context.cancelled;
      if (deadline?.aborted) throw agentFailures.timeout(timeoutMs);
      throw agentFailures.ofException(err);
    } finally {
      heartbeat.stop();
    }
  };

  async function readAnswer({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<AgentAnswer> {
    if (statusCode === 202) {
      // The head alone acknowledges: an agent that leaves the body open must not be called again for it.
      body
        .dump({ limit: MAX_ERROR_DETAILS_BYTES, signal: AbortSignal.timeout(BODY_PATIENCE_MS) })
        .catch(() => undefined);
      return { kind: 'accepted' };
    }
    if (statusCode < 200 || statusCode >= 300)
      throw agentFailures.ofResponse(statusCode, headers['retry-after'], await readRefusal(body));

    const encoding = headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity')
      throw agentFailures.badResult(`encoded as ${String(encoding)}, which was not asked for`);
    const contentType = headers['content-type'];
    const format = streamFormat(Array.isArray(contentType) ? contentType[0] : contentType);
    if (format) return { kind: 'result', result: checkResult(await followStream(body, format)) };
    const bytes = await readBody(body, maxResultBytes);
    if (!bytes) throw agentFailures.resultTooLarge(maxResultBytes);
    return { kind: 'result', result: checkResult(parseResult(bytes)) };
  }

  async function followStream(body: AsyncIterable<Uint8Array>, format: StreamFormat): Promise<Json> {
    const batcher = createReportBatcher(reportToWorkflow(Context.current()));
    let reportedBytes = 0;
    try {
      for await (const frame of readFrames(body, format, maxResultBytes)) {
        switch (frame.kind) {
          case 'report':
            reportedBytes += Buffer.byteLength(JSON.stringify(frame.report));
            await batcher.add(reportedBytes > MAX_REPORTED_BYTES ? withoutData(frame.report) : frame.report);
            break;
          case 'result':
            return frame.result;
          case 'error':
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
  function checkResult(result: Json): Json {
    const flaw = findJsonFlaw(result, { text: false });
    if (flaw) throw agentFailures.badResult(`${flaw.flaw} at ${flaw.path}`);
    if (Buffer.byteLength(JSON.stringify(result)) > maxResultBytes) throw agentFailures.resultTooLarge(maxResultBytes);
    return result;
  }
}

function withoutData(report: AgentReport): AgentReport {
  return report.type === 'other' ? { ...report, data: { cut: true } } : report;
}

function agentUrl(node: AgentNode, target: Target): string {
  return `${node.url}/${target.type === 'skill' ? 'skills' : 'reasoners'}/${target.name}`;
}

/** AgentField's headers, and ours: the attempt number and where callbacks go. */
function callHeaders(call: AgentCall, node: AgentNode, publicUrl: string, attempt: number): Record<string, string> {
  return {
    ...node.headers,
    'content-type': 'application/json',
    accept: 'application/json, application/x-ndjson;q=0.9, text/event-stream;q=0.8, */*;q=0.5',
    'accept-encoding': 'identity',
    'x-execution-id': call.executionId,
    'x-run-id': call.runId,
    'x-workflow-id': call.runId,
    ...(call.parentExecutionId !== undefined && { 'x-parent-execution-id': call.parentExecutionId }),
    ...(call.sessionId !== undefined && { 'x-session-id': call.sessionId }),
    ...(call.actorId !== undefined && { 'x-actor-id': call.actorId }),
    'perdure-attempt': String(attempt),
    'perdure-callback-url': `${publicUrl}/api/v1/executions/${call.executionId}/status`,
  };
}

function reportToWorkflow({ client, info }: Context): (reports: AgentReport[]) => Promise<void> {
  const { workflowId, runId } = info.workflowExecution ?? {};
  if (workflowId === undefined) throw new Error('callAgent was not called by a workflow');
  const execution = client.workflow.getHandle(workflowId, runId);
  return (reports) =>
    execution.signal(agentReportSignal, reports).catch((err: unknown) => {
      // The agent's work matters more than the news of it.
      log.warn('reports of the agent could not be recorded', { count: reports.length, error: String(err) });
    });
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
