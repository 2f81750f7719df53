import { Hono } from 'hono';
import type { Context } from 'hono';
import { canonicalJson } from '../../common/json.ts';
import type { ExecuteTargetInput, RestartOf } from '../../workflows/contract.ts';
import type { JsonObject } from '../../workflows/execution.ts';
import { formatTarget } from '../../workflows/execution.ts';
import { runIdOfRerun, runIdOfRoot, runSubject } from '../../workflows/run-contract.ts';
import { initialState, isOver } from '../../workflows/state.ts';
import type { AppDeps } from '../deps.ts';
import { ApiError } from '../errors.ts';
import { executionIdOf } from '../execution-id.ts';
import { acceptedView, executionPath, executionView } from '../execution-view.ts';
import { executionIdOfKey, newExecutionId } from '../ids.ts';
import { flawsOfInput } from '../input-check.ts';
import { invalid, jsonBody } from '../json-body.ts';
import type { ReadState } from '../pending.ts';
import { idempotencyKey } from '../request-headers.ts';
import { restartRequest } from '../restart-schemas.ts';
import type { RestartRequest } from '../restart-schemas.ts';
import { retryAfterOf } from '../retry-pace.ts';
import { notFound } from '../signalling.ts';
import { readStartInput } from '../start-input.ts';
import { policyFor, refuseIfTooLarge, replayOf, resolveTarget, sealWebhook } from './execute.ts';

/** Executions that are another one again. */
export function restartRoutes(deps: AppDeps): Hono {
  const { executions, runs, reuse, histories, client, sealer } = deps;
  const app = new Hono();

  app.get('/executions/:id/restarts', async (c) => {
    const id = executionIdOf(c);
    await executions.get(id);
    const restarts = await runs.restartsOf(id);
    return c.json({ execution_id: id, restarts: restarts.map((state) => executionView(state)) });
  });

  app.post('/executions/:id/restart', async (c) => {
    const named = await executions.get(executionIdOf(c));
    const request = await jsonBody(c, restartRequest, { empty: {} });
    const source = await latest(request.scope === 'workflow' ? await rootOf(named) : named);
    const key = idempotencyKey(c);
    const executionId = key === undefined ? newExecutionId() : executionIdOfKey(key);
    const fingerprint = () => canonicalJson(['restart', named.executionId, request]);
    const input = await inputOf(request, { named, source, executionId });
    if (key !== undefined) input.requestMac = sealer.mac(fingerprint());
    refuseIfTooLarge(input);
    await runs.linkRestart(source, executionId);
    if (request.run_webhook) {
      const webhook = sealWebhook(deps, runSubject(input.runId), request.run_webhook);
      await runs.tellEnd({ runId: input.runId, executionId, webhook, policy: input.policy.webhook });
    }
    const started = await executions.start(executionId, input);
    const state =
      started === 'existing' ? await replayOf(deps, c, executionId, fingerprint()) : initialState(executionId, input);
    return accepted(c, state, { request, named, source });
  });

  async function inputOf(
    request: RestartRequest,
    { named, source, executionId }: { named: ReadState; source: ReadState; executionId: string },
  ): Promise<ExecuteTargetInput> {
    if (!isOver(source))
      throw new ApiError('execution_not_finished', `execution is ${source.status}: cancel it, or wait for its end`, {
        executionId: source.executionId,
      });
    const began = await readStartInput(histories.readPage, client.options.loadedDataConverter, source.executionId);
    if (!began) throw notFound(source.executionId);
    const { node, target } = await resolveTarget(deps, formatTarget(source.target));
    const input = (request.input as JsonObject | undefined) ?? began.input;
    const schema = node.inputSchemas?.get(target.name);
    const flaws = schema ? flawsOfInput(input, schema) : [];
    if (flaws.length > 0) throw invalid(flaws);
    const context = (request.context as JsonObject | undefined) ?? began.context;
    const { sessionId, actorId } = began;
    if (request.reuse !== 'none') await reuse.check(source.runId);
    return {
      target,
      input,
      ...(context && { context }),
      runId: request.reuse === 'none' ? runIdOfRoot(executionId) : runIdOfRerun(executionId),
      ...(sessionId !== undefined && { sessionId }),
      ...(actorId !== undefined && { actorId }),
      createdAt: new Date().toISOString(),
      ...(request.timeout_ms !== undefined && { timeoutMs: request.timeout_ms }),
      ...(request.webhook && { webhook: sealWebhook(deps, executionId, request.webhook) }),
      restartOf: restartOf(request, named, source),
      policy: policyFor(node, target, deps.policy),
    };
  }

  /** Another API process, or its receiver, may have told the client of its end before it was heard of here. */
  async function latest(state: ReadState): Promise<ReadState> {
    return isOver(state) ? state : ((await histories.readNow(state.executionId))?.state ?? state);
  }

  /** Of the run that an execution belongs to; of several the one above it. */
  async function rootOf(state: ReadState): Promise<ReadState> {
    const { places } = await runs.find(state.runId);
    const placeOf = new Map(places.map((place) => [place.executionId, place]));
    let place = placeOf.get(state.executionId);
    while (place && place.depth > 0) place = placeOf.get(place.parentExecutionId ?? '');
    return place === undefined || place.executionId === state.executionId ? state : executions.get(place.executionId);
  }

  return app;
}

function restartOf({ from, reuse, reason }: RestartRequest, named: ReadState, source: ReadState): RestartOf {
  const { executionId, runId } = source;
  const checkpoint = source.nextCheckpoint ?? source.checkpoint;
  if (from === 'checkpoint' && checkpoint === undefined)
    throw new ApiError('no_checkpoint', 'its agent has put nothing by to go on from', { executionId });
  const isBefore = reuse === 'succeeded-before' && named.executionId !== executionId;
  return {
    executionId,
    runId,
    ...(reason !== undefined && { reason }),
    ...(from === 'checkpoint' && { checkpoint: checkpoint ?? null }),
    ...(reuse !== 'none' && { reuse: isBefore ? { before: named.createdAt } : {} }),
  };
}

function accepted(
  c: Context,
  state: Parameters<typeof acceptedView>[0],
  { request, named, source }: { request: RestartRequest; named: ReadState; source: ReadState },
): Response {
  c.header('Location', executionPath(state.executionId));
  c.header('Retry-After', String(retryAfterOf(state)));
  c.header('X-Execution-ID', state.executionId);
  c.header('X-Run-ID', state.runId);
  return c.json(
    {
      ...acceptedView(state),
      source_execution_id: named.executionId,
      source_run_id: named.runId,
      restarted_execution_id: source.executionId,
      replay_mode: request.reuse,
      scope: request.scope,
      kind: request.fork ? 'fork' : 'restart',
    },
    202,
  );
}
