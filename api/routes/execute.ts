import { Hono } from 'hono';
import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { NAME, targetOf } from '../../common/agent-nodes.ts';
import type { AgentNode } from '../../common/agent-nodes.ts';
import { MAX_PAYLOAD_BYTES } from '../../common/environment.ts';
import { canonicalJson } from '../../common/json.ts';
import type { ExecuteTargetInput, ExecutionPolicy, SealedWebhook } from '../../workflows/contract.ts';
import type { JsonObject, Outcome, Target } from '../../workflows/execution.ts';
import { initialState, isOver } from '../../workflows/state.ts';
import type { ExecutionState } from '../../workflows/state.ts';
import type { AppDeps } from '../deps.ts';
import { ApiError } from '../errors.ts';
import { acceptedView, executionPath, syncView } from '../execution-view.ts';
import { executionIdOfKey, newExecutionId } from '../ids.ts';
import { flawsOfInput } from '../input-check.ts';
import { invalid, jsonBody } from '../json-body.ts';
import { executionContext, idempotencyKey, preference } from '../request-headers.ts';
import { retryAfterOf } from '../retry-pace.ts';
import { executeRequest } from '../schemas.ts';
import type { ExecuteRequest } from '../schemas.ts';

/** How long past the limit of an execution a sync call waits for its end to be written down. */
const END_GRACE_MS = 5_000;
/**
 * A workflow with a webhook closes once that is delivered, mostly some milliseconds after its outcome, and waiting for
 * the close costs a sixth of following the history. A receiver that is slow must not hold the answer up for longer.
 */
const CLOSE_AFTER_WEBHOOK_MS = 1_000;
const MAX_WAIT_S = 90;
const CLIENT_GONE = 499 as ContentfulStatusCode;
/** What an agent says of our connection to it; a client, or a proxy before it, would take it as said of its own. */
const HOP_STATUSES = new Set([407, 408, 421, 425, 426, 431]);

interface Submitted {
  state: ExecutionState;
  /** The Idempotency-Key had been used for the same request before. */
  isReplay: boolean;
  /** Milliseconds the execution may take, from its request and from how it was asked for; none means no limit. */
  timeoutMs?: number;
}

export function executeRoutes(deps: AppDeps): Hono {
  const app = new Hono();

  app.post('/execute/async/:target', async (c) => accepted(c, (await submit(c, undefined)).state));

  app.post('/execute/:target', async (c) => {
    const { respondAsync, waitS } = preference(c);
    c.header('Vary', 'Prefer');
    if (respondAsync || waitS !== undefined) {
      const waitedS = Math.min(waitS ?? 0, MAX_WAIT_S);
      const applied = [respondAsync && 'respond-async', waitS !== undefined && `wait=${waitedS}`].filter(Boolean);
      c.header('Preference-Applied', applied.join(', '));
      return answerWithin(c, await submit(c, undefined), waitedS * 1000);
    }
    const { syncLimitMs } = deps.limits;
    const submitted = await submit(c, syncLimitMs);
    const limitMs = submitted.timeoutMs ?? syncLimitMs;
    return answerWithin(c, submitted, limitMs + END_GRACE_MS);
  });

  // The endpoints of before there were executions: they wait for the result, whatever way the agent gives it.
  const legacy = async (c: Context) => {
    const { syncLimitMs } = deps.limits;
    const submitted = await submit(c, syncLimitMs);
    return answerWithin(c, submitted, (submitted.timeoutMs ?? syncLimitMs) + END_GRACE_MS, legacyAnswer);
  };
  app.post('/reasoners/:target', legacy);
  app.post('/skills/:target', legacy);

  /** Checks everything, starts the workflow, and returns only what Temporal has accepted. */
  async function submit(c: Context, capMs: number | undefined): Promise<Submitted> {
    const { node, target } = await resolveTarget(deps, c.req.param('target') ?? '');
    const request = await jsonBody(c, executeRequest, { empty: {} });
    const schema = node.inputSchemas?.get(target.name);
    const flaws = schema ? flawsOfInput(request.input, schema) : [];
    if (flaws.length > 0) throw invalid(flaws);
    const key = idempotencyKey(c);
    const executionId = key === undefined ? newExecutionId() : executionIdOfKey(key);
    const mayTakeMs = Math.min(capMs ?? Infinity, request.timeout_ms ?? Infinity);
    const fingerprint = () => canonicalJson([target, request]);
    const input: ExecuteTargetInput = {
      target,
      input: request.input as JsonObject,
      ...(request.context && { context: request.context as JsonObject }),
      ...executionContext(c),
      createdAt: new Date().toISOString(),
      ...(mayTakeMs !== Infinity && { timeoutMs: mayTakeMs }),
      ...(request.webhook && { webhook: sealWebhook(deps, executionId, request.webhook) }),
      ...(key !== undefined && { requestMac: deps.sealer.mac(fingerprint()) }),
      ...priorityOf(request),
      policy: policyFor(node, target, deps.policy),
    };
    refuseIfTooLarge(input);
    const started = await deps.executions.start(executionId, input);
    const isReplay = started === 'existing';
    const state = isReplay ? await replay(c, executionId, fingerprint()) : initialState(executionId, input);
    c.header('X-Execution-ID', state.executionId);
    c.header('X-Run-ID', state.runId);
    return { state, isReplay, ...(mayTakeMs !== Infinity && { timeoutMs: mayTakeMs }) };
  }

  async function replay(c: Context, executionId: string, fingerprint: string): Promise<ExecutionState> {
    const state = await deps.executions.get(executionId);
    if (state.requestMac === undefined || !deps.sealer.verifyMac(fingerprint, state.requestMac))
      throw new ApiError('idempotency_key_reused', 'this Idempotency-Key was used with another request', {
        executionId,
      });
    c.header('Idempotency-Replayed', 'true');
    return state;
  }

  async function answerWithin(
    c: Context,
    { state, isReplay }: Submitted,
    waitMs: number,
    finished = syncAnswer,
  ): Promise<Response> {
    const { executionId } = state;
    if (waitMs === 0 && !state.outcome) return accepted(c, state);
    const signal = c.req.raw.signal;
    const until = Date.now() + waitMs;
    if (!isReplay) {
      const closeMs = state.webhook ? Math.min(waitMs, CLOSE_AFTER_WEBHOOK_MS) : waitMs;
      const closed = await deps.executions.waitForClose(state, { timeoutMs: closeMs, signal });
      if (closed?.outcome) return finished(c, closed, closed.outcome);
    }
    if (signal.aborted) return c.body(null, CLIENT_GONE);
    const timeoutMs = Math.max(0, until - Date.now());
    const latest = await deps.executions.waitFor(executionId, isOver, { timeoutMs, signal }).catch((err) => {
      // The execution exists: a client that is told 503 must be able to find it.
      c.header('Location', executionPath(executionId));
      throw err;
    });
    if (latest?.outcome) return finished(c, latest, latest.outcome);
    if (signal.aborted) return c.body(null, CLIENT_GONE);
    return accepted(c, latest ?? state);
  }

  return app;
}

/** AgentField's 200; its failures are told by the status too. */
function syncAnswer(c: Context, state: ExecutionState, outcome: Outcome): Response {
  return c.json(syncView(state, outcome), httpStatusOf(outcome));
}

/** AgentField's older one; failures are as today, for it would tell them as success. */
function legacyAnswer(c: Context, state: ExecutionState, outcome: Outcome): Response {
  c.header('X-Workflow-ID', state.runId);
  c.header('X-Agent-Node-ID', state.target.node);
  c.header('X-Duration-MS', String(outcome.durationMs));
  if (outcome.status !== 'succeeded') return syncAnswer(c, state, outcome);
  return c.json({
    result: outcome.result,
    node_id: state.target.node,
    duration_ms: outcome.durationMs,
    timestamp: outcome.completedAt,
  });
}

function httpStatusOf(outcome: Outcome): ContentfulStatusCode {
  switch (outcome.status) {
    case 'succeeded':
      return 200;
    case 'failed': {
      const { agentStatus = 0 } = outcome;
      const isForClient = agentStatus >= 400 && agentStatus < 500 && !HOP_STATUSES.has(agentStatus);
      return isForClient ? (agentStatus as ContentfulStatusCode) : 502;
    }
    case 'timeout':
      return 504;
    case 'cancelled':
      return 409;
  }
}

function accepted(c: Context, state: ExecutionState): Response {
  c.header('Location', executionPath(state.executionId));
  c.header('Retry-After', String(retryAfterOf(state)));
  return c.json(acceptedView(state), 202);
}

async function resolveTarget({ agentNodes }: AppDeps, text: string): Promise<{ node: AgentNode; target: Target }> {
  const [nodeName = '', targetName = '', ...more] = text.split('.');
  if (more.length > 0 || !NAME.test(nodeName) || !NAME.test(targetName))
    throw new ApiError('invalid_target', "invalid target: target must be in format 'node_id.reasoner_name'");
  const node = await agentNodes.find(nodeName);
  if (!node) {
    const names = (await agentNodes.names()).toSorted().slice(0, 50);
    throw new ApiError('target_not_found', `agent '${nodeName}' not found; agent nodes: ${names.join(', ') || 'none'}`);
  }
  const target = targetOf(node, targetName);
  if (target) return { node, target };
  const names = [...(node.reasoners ?? []), ...(node.skills ?? [])].slice(0, 50).join(', ') || 'none';
  throw new ApiError('target_not_found', `target '${targetName}' not found on agent '${nodeName}'; it has: ${names}`);
}

/** Written out again a body may be longer than it came (1e20 has four characters): what counts is what is stored. */
function refuseIfTooLarge(input: ExecuteTargetInput): void {
  if (Buffer.byteLength(JSON.stringify(input)) > MAX_PAYLOAD_BYTES)
    throw new ApiError(
      'body_too_large',
      `written out as plain JSON the request is larger than ${MAX_PAYLOAD_BYTES} bytes`,
    );
}

function sealWebhook(
  { sealer }: AppDeps,
  executionId: string,
  webhook: NonNullable<ExecuteRequest['webhook']>,
): SealedWebhook {
  return { origin: new URL(webhook.url).origin, sealed: sealer.seal(executionId, JSON.stringify(webhook)) };
}

function priorityOf({ priority, fairness_key }: ExecuteRequest): Pick<ExecuteTargetInput, 'priority'> {
  if (priority === undefined && fairness_key === undefined) return {};
  return {
    priority: {
      ...(priority !== undefined && { priorityKey: priority }),
      ...(fairness_key !== undefined && { fairnessKey: fairness_key }),
    },
  };
}

function policyFor(node: AgentNode, target: Target, policy: ExecutionPolicy): ExecutionPolicy {
  const targetLimit = node.maxConcurrentOf?.get(target.name);
  const permits = {
    ...(node.maxConcurrent !== undefined && { node: node.maxConcurrent }),
    ...(targetLimit !== undefined && { target: targetLimit }),
  };
  const agent = {
    ...policy.agent,
    ...node.retry,
    ...(node.timeoutMs !== undefined && { attemptTimeoutMs: node.timeoutMs }),
  };
  return {
    ...policy,
    ...(Object.keys(permits).length > 0 && { permits }),
    agent: { ...agent, maximumIntervalMs: Math.max(agent.maximumIntervalMs, agent.initialIntervalMs) },
  };
}
