import { Hono } from 'hono';
import type { Context } from 'hono';
import { z } from 'zod';
import { canonicalJson } from '../../common/json.ts';
import { decodeFirst } from '../../common/decode-payload.ts';
import { MAX_PAYLOAD_BYTES } from '../../common/environment.ts';
import { isNotFound, WorkflowExecutionAlreadyStartedError } from '../../common/temporal-errors.ts';
import { BATCH_WORKFLOW, batchSubject } from '../../workflows/batch-contract.ts';
import type { BatchInput, BatchItem } from '../../workflows/batch-contract.ts';
import type { ExecutionPolicy } from '../../workflows/contract.ts';
import { formatTarget } from '../../workflows/execution.ts';
import type { JsonObject } from '../../workflows/execution.ts';
import { rosterId } from '../../workflows/run-contract.ts';
import type { runBatch } from '../../workflows/run-batch.ts';
import { batchItemRequest, batchRequest } from '../batch-schemas.ts';
import { batchLinksOf, batchViewOf } from '../batch-view.ts';
import type { AppDeps } from '../deps.ts';
import { ApiError } from '../errors.ts';
import { attemptView } from '../execution-view.ts';
import { batchIdOf, executionIdOfItem, isBatchId } from '../ids.ts';
import { flawsOfInput } from '../input-check.ts';
import { check, invalid, jsonBody, numberParameter, queryOf } from '../json-body.ts';
import { idempotencyKey } from '../request-headers.ts';
import { policyFor, resolveTarget, sealWebhook } from './execute.ts';
import { createRunCancel } from './run-cancel.ts';

export const batchQuery = z.strictObject({
  limit: numberParameter(1, 1_000).default(100),
  cursor: z.string().max(400).optional(),
});

/** What is wrong with one item. */
interface Refused {
  index: number;
  error: ApiError;
}

/** Many submissions in one call. */
export function batchRoutes(deps: AppDeps): Hono {
  const { client, runs, histories, sealer, taskQueue } = deps;
  const cancelRun = createRunCancel(deps);
  const app = new Hono();

  app.post('/executions/batch', async (c) => {
    const request = await jsonBody(c, batchRequest);
    const key = idempotencyKey(c);
    const batchId = batchIdOf(key);
    const policies: Record<string, ExecutionPolicy> = {};
    const read: (BatchItem | Refused)[] = [];
    for (const [index, item] of request.items.entries()) read.push(await readItem(item, index, batchId, policies));
    const items = read.filter((one): one is BatchItem => !('error' in one));
    const refused = read.filter((one): one is Refused => 'error' in one);
    const answers = read.map((one) => itemAnswer(one));
    if (items.length === 0)
      throw new ApiError('nothing_accepted', 'none of the items was accepted', { members: { items: answers } });
    const fingerprint = () => canonicalJson(['batch', request]);
    const batch: BatchInput = {
      batchId,
      rosterId: rosterId(batchId, taskQueue),
      createdAt: new Date().toISOString(),
      items,
      maxInFlight: request.max_in_flight,
      policies,
      ...(request.webhook && {
        webhook: {
          registration: sealWebhook(deps, batchSubject(batchId), request.webhook),
          policy: deps.policy.webhook,
        },
      }),
      ...(key !== undefined && { requestMac: sealer.mac(fingerprint()) }),
    };
    if (Buffer.byteLength(JSON.stringify(batch)) > MAX_PAYLOAD_BYTES)
      throw new ApiError(
        'body_too_large',
        `written out as plain JSON the batch is larger than ${MAX_PAYLOAD_BYTES} bytes`,
      );
    const createdAt = await start(c, batch, fingerprint);
    const links = batchLinksOf(batchId);
    return c.json(
      {
        batch_id: batchId,
        run_id: batchId,
        total: read.length,
        accepted_count: items.length,
        refused_count: refused.length,
        max_in_flight: request.max_in_flight,
        webhook_registered: batch.webhook !== undefined,
        created_at: createdAt,
        items: answers,
        links,
      },
      202,
      { Location: links.self, 'X-Run-ID': batchId },
    );
  });

  async function readItem(
    item: unknown,
    index: number,
    batchId: string,
    policies: Record<string, ExecutionPolicy>,
  ): Promise<BatchItem | Refused> {
    try {
      const call = check(batchItemRequest, item, { root: '$', noun: 'field' });
      const { node, target } = await resolveTarget(deps, call.target);
      const schema = node.inputSchemas?.get(target.name);
      const flaws = schema ? flawsOfInput(call.input, schema) : [];
      if (flaws.length > 0) throw invalid(flaws);
      policies[formatTarget(target)] = policyFor(node, target, deps.policy);
      const executionId = executionIdOfItem(batchId, index);
      return {
        index,
        executionId,
        target,
        input: call.input as JsonObject,
        ...(call.context && { context: call.context as JsonObject }),
        ...(call.timeout_ms !== undefined && { timeoutMs: call.timeout_ms }),
        ...(call.webhook && { webhook: sealWebhook(deps, executionId, call.webhook) }),
      };
    } catch (err) {
      // What is no fault of the item refuses the whole.
      if (!(err instanceof ApiError) || err.code === 'temporal_unavailable') throw err;
      return { index, error: err };
    }
  }

  /** @returns when the batch was accepted, which may have been before */
  async function start(c: Context, batch: BatchInput, fingerprint: () => string): Promise<string> {
    const { batchId, items } = batch;
    // The run is there from the beginning, and can be cancelled.
    const [first] = items;
    try {
      if (first) await runs.join(batchId, { executionId: first.executionId });
      await runs.call(() =>
        client.workflow.start<typeof runBatch>(BATCH_WORKFLOW, {
          workflowId: batchId,
          taskQueue,
          args: [batch],
          workflowIdReusePolicy: 'REJECT_DUPLICATE',
          workflowIdConflictPolicy: 'FAIL',
          staticSummary: `${items.length} executions`,
        }),
      );
      return batch.createdAt;
    } catch (err) {
      const isCancelled = err instanceof ApiError && err.code === 'run_cancelled';
      if (!isCancelled && !(err instanceof WorkflowExecutionAlreadyStartedError)) throw err;
    }
    const known = await find(batchId);
    if (known.requestMac === undefined || !sealer.verifyMac(fingerprint(), known.requestMac))
      throw new ApiError('idempotency_key_reused', 'this Idempotency-Key was used with another request');
    c.header('Idempotency-Replayed', 'true');
    return known.createdAt;
  }

  async function find(batchId: string): Promise<BatchInput> {
    try {
      const { events } = await histories.readPage(batchId, new Uint8Array());
      const { input } = events[0]?.workflowExecutionStartedEventAttributes ?? {};
      const batch = await decodeFirst<BatchInput>(input, client.options.loadedDataConverter);
      if (batch) return batch;
    } catch (err) {
      if (!isNotFound(err)) throw err;
    }
    throw new ApiError('batch_not_found', 'batch not found');
  }

  app.get('/batches/:id', async (c) => {
    const batchId = batchIdIn(c);
    const { limit, cursor } = queryOf(c, batchQuery);
    const batch = await find(batchId);
    const from = Number(cursor ?? 0);
    if (!Number.isInteger(from) || from < 0 || from > batch.items.length)
      throw invalid([{ path: 'cursor', message: 'was not made by this API' }]);
    const [{ isShut }, told] = await Promise.all([runs.find(batchId), runs.webhookOf(batchId, batchId)]);
    const states = await runs.read(batch.items);
    const view = batchViewOf(batch, states, { isShut, from, limit });
    return c.json({ ...view, webhook_events: (told?.attempts ?? []).map(attemptView) }, 200, {
      'Cache-Control': 'no-store',
    });
  });

  app.post('/batches/:id/cancel', async (c) => {
    const batchId = batchIdIn(c);
    await find(batchId);
    const answer = await cancelRun(c, batchId);
    return c.json(answer, 202, { Location: batchLinksOf(batchId).self });
  });

  return app;
}

function batchIdIn(c: Context): string {
  const id = c.req.param('id') ?? '';
  if (!isBatchId(id)) throw new ApiError('batch_not_found', 'batch not found');
  return id;
}

function itemAnswer(one: BatchItem | Refused) {
  if (!('error' in one)) return { index: one.index, execution_id: one.executionId, error: null };
  const { code, message, errors = [] } = one.error;
  return { index: one.index, execution_id: null, error: { code, detail: message, errors } };
}
