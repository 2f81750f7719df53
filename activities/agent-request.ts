import { request } from 'undici';
import type { Dispatcher } from 'undici';
import { pickInstance } from '../common/agent-nodes.ts';
import type { AgentInstance, AgentNode, AgentNodeDirectory } from '../common/agent-nodes.ts';
import type { AgentCall } from '../workflows/contract.ts';
import type { JsonObject, Target } from '../workflows/execution.ts';
import { answerView, messageView } from '../common/steering-view.ts';
import type { RecentSet } from './recent-set.ts';
import { agentFailures } from './agent-failure.ts';

export interface AgentRequestDeps {
  agentNodes: AgentNodeDirectory;
  http: Dispatcher;
  /** Instances that could not be reached a moment ago. */
  unreachable: RecentSet;
  /** Base URL under which agents reach the API. */
  publicUrl: string;
}

const MAX_TIMER_MS = 2 ** 31 - 1;

/** A call of an agent that is on its way. */
export interface AgentRequest {
  /** Resolves when the head of the answer is there. */
  response: Promise<Dispatcher.ResponseData>;
  /** The one that is called, once it is chosen. */
  instance: () => AgentInstance | undefined;
  /** Ends it, wherever it is. */
  abort: () => void;
  /** To be called when it has ended, in whatever way. */
  end: () => void;
  /** What a failure of this call, or of reading its answer, means. */
  toFailure: (err: unknown) => Error;
}

/**
 * Makes one call: `POST {url}/reasoners/{name}` (or `/skills/{name}`) with the input as the body, as AgentField does.
 * @param attempt counted from 1
 */
export function sendAgentRequest(deps: AgentRequestDeps, call: AgentCall, attempt: number): AgentRequest {
  // Node's timers fire at once when they are set to more; Temporal's own timeout keeps such a limit.
  const { timeoutMs = Infinity } = call;
  const deadline = timeoutMs <= MAX_TIMER_MS ? AbortSignal.timeout(timeoutMs) : undefined;
  // `toFailure` keeps hold of it: on Node 20 a timeout that only AbortSignal.any knows of may be collected.
  const aborted = new AbortController();
  const signal = deadline ? AbortSignal.any([aborted.signal, deadline]) : aborted.signal;

  let instance: AgentInstance | undefined;
  let isLost = false;
  let stopWatching = () => {};

  async function send(): Promise<Dispatcher.ResponseData> {
    const { node: name } = call.target;
    const node = await deps.agentNodes.find(name);
    if (!node) throw agentFailures.unknownNode(name);
    instance = pickInstance(node, deps.unreachable.now());
    if (!instance) throw agentFailures.unserved(name);
    stopWatching = deps.agentNodes.onLost(name, instance, () => {
      isLost = true;
      aborted.abort();
    });
    return request(agentUrl(instance, call.target), {
      dispatcher: deps.http,
      method: 'POST',
      headers: callHeaders(call, node, deps.publicUrl, attempt),
      body: JSON.stringify(bodyOf(call)),
      signal,
    });
  }

  return {
    response: send(),
    instance: () => instance,
    abort: () => aborted.abort(),
    end: () => stopWatching(),
    toFailure: (err) => {
      if (deadline?.aborted) return agentFailures.timeout(timeoutMs);
      if (isLost) return agentFailures.instanceLost();
      const failure = agentFailures.ofException(err);
      if (failure.type === 'agent_unreachable' && instance?.holder) deps.unreachable.add(instance.holder.instanceId);
      return failure;
    },
  };
}

/** The input, or what an agent goes on with after it had asked. */
function bodyOf({ input, continuation }: AgentCall): JsonObject {
  if (!continuation) return input;
  const { turn, checkpoint = null, answer, messages } = continuation;
  return { input, turn, checkpoint, answer: answer ? answerView(answer) : null, messages: messages.map(messageView) };
}

function agentUrl({ url }: AgentInstance, target: Target): string {
  return `${url}/${target.type === 'skill' ? 'skills' : 'reasoners'}/${target.name}`;
}

/** AgentField's headers, and ours: the attempt number and where callbacks go. */
function callHeaders(call: AgentCall, node: AgentNode, publicUrl: string, attempt: number): Record<string, string> {
  const execution = `${publicUrl}/api/v1/executions/${call.executionId}`;
  const turn = call.continuation?.turn;
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
    'x-execution-attempt': String(attempt),
    // The body has what the agent goes on with then, and its input in it.
    ...(turn !== undefined && { 'perdure-turn': String(turn) }),
    'perdure-callback-url': `${execution}/status${turn === undefined ? '' : `?turn=${turn}`}`,
    'perdure-events-url': `${execution}/events`,
  };
}
