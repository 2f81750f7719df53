/**
 * Takes the picture of the live page that the documentation shows: `npm test -- test/ui/screenshot.ts` writes
 * `docs/live-page.png`. To be run by hand when the page looks different; it needs a Chromium, as the tests of it do.
 */
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { acceptingAgent } from '../support/agents.ts';
import { findChromium, openBrowser } from '../support/browser.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import { ROOT } from '../support/temporal.ts';

const FILE = join(ROOT, 'docs', 'live-page.png');
const MAX_BYTES = 150_000;

const shared = sharedContext();
after(shared.close);

test('the live page is photographed', async () => {
  const agent = await acceptingAgent(shared);
  const system = await startSystem(shared, { agentNodes: { research: agent.url } });
  const browser = await openBrowser(shared, findChromium() ?? '');
  const page = await browser.newPage();
  await page.setViewportSize({ width: 1100, height: 1180 });
  await page.emulateMedia({ colorScheme: 'light' });

  const { body } = await system.post('/api/v1/execute/async/research.survey', { input: { topic: 'heat pumps' } });
  const id = body.execution_id as string;
  await agent.callbackUrl(id);
  await system.running(id);
  const say = (...events: object[]) => system.post(`/api/v1/executions/${id}/events`, { events });
  await page.goto(`${system.url}/ui/executions/${id}`);

  await say(
    { type: 'context.patch', patch: [{ op: 'add', path: '/goal', value: 'efficiency of heat pumps below 0 °C' }] },
    { type: 'step', kind: 'tool_call', name: 'search', summary: '"heat pump field study": 41 results' },
  );
  await page.getByText('revision 1', { exact: true }).waitFor();
  const message = { id: 'msg_1', text: 'Only field studies, no laboratory', interrupt: true, from: 'Ada' };
  await system.post(`/api/v1/executions/${id}/messages`, message);
  await say({ type: 'step', kind: 'thought', summary: 'Most of these are laboratory measurements' });
  await say(
    { type: 'steer.applied', message_id: message.id, step: 'search narrowed' },
    {
      type: 'context.patch',
      patch: [
        { op: 'replace', path: '/goal', value: 'efficiency of heat pumps below 0 °C, in the field' },
        { op: 'add', path: '/studies', value: 5 },
      ],
    },
    { type: 'progress', current_action: 'Reading study 3 of 5', progress_pct: 60 },
    { type: 'usage', input_tokens: 48_210, output_tokens: 3_120, cost_usd: 0.1912 },
  );
  await page.locator('#changes').getByText('in the field').waitFor();
  await page.getByText('$0.1912').waitFor();
  await page.locator('#estimate').filter({ hasText: 'by its progress' }).waitFor();
  await page.screenshot({ path: FILE, animations: 'disabled' });

  const { size } = await stat(FILE);
  assert.ok(size < MAX_BYTES, `${FILE} has ${size} bytes`);
  await agent.report(id, { status: 'succeeded' });
});
