import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHistories } from '../../api/histories.ts';
import { connectTemporal } from '../../common/connect-temporal.ts';
import { createWatchers } from '../../api/watchers.ts';
import { acceptingAgent } from '../support/agents.ts';
import { startSystem } from '../support/system.ts';

test('a reader that leaves before anything was read is not an outage', async (t) => {
  const agent = await acceptingAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url } });
  const { body } = await system.post('/api/v1/execute/async/a.x', {});
  const temporal = connectTemporal(system.config.temporal);
  t.after(() => temporal.close());
  const { following, client } = temporal;
  const { namespace, loadedDataConverter } = client.options;
  const histories = createHistories({ connection: following, namespace, converter: loadedDataConverter });
  const watchers = createWatchers(histories, { maxWatchers: 10 });
  t.after(() => watchers.close());

  const wait = { timeoutMs: 60_000, signal: AbortSignal.abort() };
  assert.equal(await watchers.waitFor(body.execution_id, () => false, wait), undefined);
  const now = { timeoutMs: 60_000 };
  assert.equal((await watchers.waitFor(body.execution_id, () => true, now))?.executionId, body.execution_id);
});
