import type { Connection } from '@temporalio/client';
import { Hono } from 'hono';
import type { AppDeps } from '../deps.ts';

const CHECK_DEADLINE_MS = 2_000;
/** A worker that polls asks again at least every minute. */
const POLLER_FRESH_MS = 70_000;
/** TaskQueueType of Temporal's API. */
const WORKFLOW_QUEUE = 1;

export function healthRoutes({ client, taskQueue, logger }: AppDeps): Hono {
  const app = new Hono();

  app.get('/health', (c) => c.json({ status: 'healthy' }));

  app.get('/ready', async (c) => {
    const checks = await check();
    const isReady = checks.temporal === 'ok' && checks.worker === 'ok';
    if (!isReady) c.header('Retry-After', '1');
    return c.json({ status: isReady ? 'ready' : 'not ready', checks }, isReady ? 200 : 503);
  });

  async function check(): Promise<{ temporal: string; worker: string }> {
    const { connection } = client as typeof client & { connection: Connection };
    try {
      const { pollers } = await connection.withDeadline(Date.now() + CHECK_DEADLINE_MS, () =>
        connection.workflowService.describeTaskQueue({
          namespace: client.options.namespace,
          taskQueue: { name: taskQueue },
          taskQueueType: WORKFLOW_QUEUE,
        }),
      );
      const isPolled = (pollers ?? []).some(
        ({ lastAccessTime }) => Date.now() - Number(lastAccessTime?.seconds ?? 0) * 1000 < POLLER_FRESH_MS,
      );
      return { temporal: 'ok', worker: isPolled ? 'ok' : 'no worker polls this task queue' };
    } catch (err) {
      logger.debug({ error: String(err) }, 'not ready');
      return { temporal: 'cannot be reached', worker: 'unknown' };
    }
  }

  return app;
}
