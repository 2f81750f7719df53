import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { BrowserContext, Page } from 'playwright-core';
import { acceptingAgent } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { findChromium, openBrowser } from '../support/browser.ts';
import { webhookReceiver } from '../support/http-server.ts';
import { sharedContext } from '../support/shared.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const chromium = findChromium();
const skip = chromium === undefined && 'no Chromium here: install one, or name it by PERDURE_CHROMIUM';

describe('the live pages, in a browser', { skip }, () => {
  const shared = sharedContext();
  let agent: AcceptingAgent;
  let system: System;
  let browser: BrowserContext;
  const flaws: string[] = [];

  before(async () => {
    agent = await acceptingAgent(shared);
    system = await startSystem(shared, { agentNodes: { research: agent.url } });
    browser = await openBrowser(shared, chromium ?? '');
  });
  after(shared.close);

  async function open(path: string): Promise<Page> {
    const page = await browser.newPage();
    page.on('pageerror', (err) => flaws.push(err.message));
    page.on('console', (message) => message.type() === 'error' && flaws.push(message.text()));
    await page.goto(`${system.url}${path}`);
    return page;
  }

  async function start(more: object = {}): Promise<string> {
    const { body } = await system.post('/api/v1/execute/async/research.paper', more);
    await agent.callbackUrl(body.execution_id);
    await system.running(body.execution_id);
    return body.execution_id as string;
  }

  const say = (id: string, ...events: object[]) => system.post(`/api/v1/executions/${id}/events`, { events });

  test('steps show as they happen, what an agent says stays text, and the end is there', async (t) => {
    const receiver = await webhookReceiver(t, 204);
    const id = await start({ webhook: { url: receiver.url } });
    const page = await open(`/ui/executions/${id}`);
    await page.getByRole('status').filter({ hasText: 'live' }).waitFor();
    await say(
      id,
      { type: 'progress', current_action: 'reading', progress_pct: 40 },
      {
        type: 'step',
        kind: 'tool_call',
        name: 'search',
        summary: '<img src=x onerror="document.title=1">',
        data: { q: 1 },
      },
      { type: 'usage', input_tokens: 1200, output_tokens: 80, cost_usd: 0.0123 },
      { type: 'weather', rain: true },
    );
    await page.getByText('tool call · search · <img').waitFor();
    await page.getByText('1200 tokens in, 80 out, $0.0123').waitFor();
    await page.getByText('by its progress').waitFor();
    assert.equal(await page.locator('#action').textContent(), 'reading');
    assert.equal(await page.locator('#progress').getAttribute('value'), '40');
    assert.equal(await page.locator('#log img').count(), 0);
    await page.locator('#log details').first().locator('summary').click();
    await page.locator('#log pre').filter({ hasText: '"q": 1' }).waitFor();

    await agent.report(id, { status: 'succeeded', result: { title: 'Pumps' } });
    await page.getByRole('status').filter({ hasText: 'complete' }).waitFor();
    await page.locator('#end').getByText('"title": "Pumps"').waitFor();
    await page.locator('#attempts').getByText('HTTP 204').waitFor();
    await page.locator('#status').filter({ hasText: 'succeeded' }).waitFor();
    const shown = await page.locator('#log > li').count();
    const { body } = await system.get(`/api/v1/executions/${id}`);
    assert.equal(shown, body.sequence, 'every entry once');
    await page.close();
  });

  test('it can be cancelled with the keyboard alone', async () => {
    const id = await start();
    const page = await open(`/ui/executions/${id}`);
    const cancel = page.getByRole('button', { name: 'Cancel…' });
    await cancel.waitFor();
    await cancel.focus();
    await page.keyboard.press('Enter');
    await page.getByLabel('Reason').fill('not needed');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.locator('#status').filter({ hasText: 'cancelled' }).waitFor();
    assert.equal((await system.end(id)).error, 'Execution cancelled: not needed');
    await page.close();
  });

  test('the list has what there is, filtered, and leads to it', async () => {
    const id = await start();
    const page = await open('/ui');
    await page.getByRole('link', { name: 'research.paper' }).first().waitFor();
    await page.getByLabel('Status').selectOption('running');
    await page.getByLabel('Target').fill('research.paper');
    await page.getByRole('button', { name: 'Show' }).click();
    await page.locator(`a[href="/ui/executions/${id}"]`).click();
    await page.locator('#identity').filter({ hasText: id }).waitFor();
    await agent.report(id, { status: 'failed', error: 'no paper' });
    await page.locator('#end').getByText('no paper').waitFor();
    await page.close();
  });

  test('both pages fit a phone, in light and dark', async () => {
    const id = await start();
    await say(id, { type: 'step', kind: 'thought', name: 'x'.repeat(190), summary: 'y'.repeat(500) });
    for (const path of ['/ui', `/ui/executions/${id}`])
      for (const colorScheme of ['light', 'dark'] as const) {
        const page = await open(path);
        await page.setViewportSize({ width: 360, height: 740 });
        await page.emulateMedia({ colorScheme });
        await page.waitForLoadState('load');
        const width = await page.evaluate('document.documentElement.scrollWidth');
        assert.ok(Number(width) <= 360, `${path} is ${String(width)} wide`);
        await page.close();
      }
    await agent.report(id, { status: 'succeeded' });
  });

  test('an execution that is not there is said to be missing', async () => {
    const page = await open('/ui/executions/exec_00000000000000000000000000000000');
    await page.getByRole('alert').filter({ hasText: 'execution not found' }).waitFor();
    await page.close();
    // The browser itself complains of the 404.
    flaws.splice(0, flaws.length, ...flaws.filter((flaw) => !flaw.includes('404')));
  });

  test('none of the pages had anything to complain of', () => {
    assert.deepEqual(flaws, []);
  });
});
