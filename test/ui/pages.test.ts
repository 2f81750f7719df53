import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { BrowserContext, Page } from 'playwright-core';
import { acceptingAgent, isCallOf } from '../support/agents.ts';
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

  /** The so-many-th call that the agent got, as it read it. */
  async function callOf(id: string, turn: number) {
    const call = (await agent.waitFor(turn, isCallOf(id))).at(-1);
    assert.ok(call);
    return {
      turn: call.headers['perdure-turn'],
      body: JSON.parse(call.body),
      url: call.headers['perdure-callback-url'],
    };
  }

  async function send(page: Page, text: string): Promise<void> {
    await page.getByLabel('Message', { exact: true }).fill(text);
    await page.getByRole('button', { name: 'Send' }).click();
  }

  /** The browser itself complains of a refusal. */
  function forgiveRefusals(status: number): void {
    flaws.splice(0, flaws.length, ...flaws.filter((flaw) => !flaw.includes(`status of ${status}`)));
  }

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

  test('an interrupt that a person sends holds the agent, and the page shows what became of it', async () => {
    const id = await start();
    const page = await open(`/ui/executions/${id}`);
    await page.getByLabel('Interrupt').check();
    await send(page, 'Use the other pump');
    const line = page.locator('#said > li');
    await line.filter({ hasText: 'interrupt: Use the other pump accepted' }).waitFor();
    assert.equal(await page.getByLabel('Message', { exact: true }).inputValue(), '');
    assert.equal(await page.getByLabel('Interrupt').isChecked(), false);

    const told = await agent.report(id, { status: 'running' });
    assert.equal(told.body.control, 'hold');
    const [message] = told.body.messages as { id: string; text: string }[];
    assert.ok(message);
    assert.equal(message.text, 'Use the other pump');
    await line.filter({ hasText: 'delivered' }).waitFor();
    const { body } = await say(id, { type: 'steer.applied', message_id: message.id, step: 'changed the pump' });
    assert.equal(body.control, 'continue');
    await line.filter({ hasText: 'applied changed the pump' }).waitFor();
    await page.locator('#log').getByText('steer.applied “Use the other pump” · changed the pump').waitFor();

    await send(page, 'And hurry');
    await agent.report(id, { status: 'succeeded' });
    await line.filter({ hasText: 'rejected the execution has ended' }).waitFor();
    await page.getByRole('button', { name: 'Send' }).waitFor({ state: 'hidden' });
    assert.equal(await page.getByRole('button', { name: 'Pause' }).isVisible(), false);
    await page.close();
  });

  test('it is paused and resumed from the page', async () => {
    const id = await start();
    const page = await open(`/ui/executions/${id}`);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.locator('#status').filter({ hasText: 'paused' }).waitFor();
    assert.equal((await agent.report(id, { status: 'running' })).body.control, 'hold');
    // The same button: who uses the keyboard stays on it.
    await page.keyboard.press('Enter');
    await page.locator('#status').filter({ hasText: 'running' }).waitFor();
    await page.getByRole('button', { name: 'Pause' }).waitFor();
    assert.equal((await agent.report(id, { status: 'running' })).body.control, 'continue');
    await agent.report(id, { status: 'succeeded' });
    await page.close();
  });

  test('an approval and an answer given in the page reach the agent, each by another call', async () => {
    const id = await start({ input: { paper: 7 } });
    const page = await open(`/ui/executions/${id}`);
    const asked = page.getByRole('region', { name: 'The agent asks' });
    const waiting = { kind: 'approval', text: 'Publish it?', options: ['drop', 'publish'], expires_in_ms: 600_000 };
    await agent.report(id, { status: 'waiting', checkpoint: { page: 3 }, waiting: { ...waiting, default: 'drop' } });
    await asked.getByText('Publish it?').waitFor();
    await asked.getByText('Expires in 10 min; then “drop” counts as the answer.').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Pause' }).isVisible(), false);
    await asked.getByLabel('Why').fill('reads well');
    await asked.getByLabel('Why').press('Enter');
    await asked.getByRole('button', { name: 'publish' }).click();
    await asked.waitFor({ state: 'hidden' });
    const second = await callOf(id, 2);
    assert.equal(second.turn, '2');
    assert.deepEqual(second.body, {
      input: { paper: 7 },
      turn: 2,
      checkpoint: { page: 3 },
      answer: { decision: 'publish', reason: 'reads well', is_default: false },
      messages: [],
    });

    const question = { status: 'waiting', waiting: { kind: 'question', text: 'Under which title?' } };
    await fetch(String(second.url), { method: 'POST', body: JSON.stringify(question) });
    await asked.getByText('Under which title?').waitFor();
    await asked.getByLabel('Your answer').fill('Pumps & more');
    await asked.getByRole('button', { name: 'Answer' }).click();
    await asked.waitFor({ state: 'hidden' });
    const third = await callOf(id, 3);
    assert.deepEqual(third.body.answer, { data: 'Pumps & more', is_default: false });
    await page.locator('#log').getByText('answered publish · reads well').waitFor();
    await page.locator('#log').getByText('turn 3: the agent is called again').waitFor();
    const last = { status: 'failed', error: 'no printer', partial_result: { pages: 2 } };
    await fetch(String(third.url), { method: 'POST', body: JSON.stringify(last) });
    await page.locator('#end').getByText('no printer').waitFor();
    await page.locator('#end pre').filter({ hasText: '"pages": 2' }).waitFor();
    await page.locator('#end pre').filter({ hasText: '"page": 3' }).waitFor();
    await page.close();
  });

  test('the context shows with what has changed, and a message to an older one is not sent', async () => {
    const id = await start();
    const page = await open(`/ui/executions/${id}`);
    const changes = page.getByRole('list', { name: 'Changed last' }).getByRole('listitem');
    await say(id, { type: 'context.patch', patch: [{ op: 'add', path: '/goal', value: 'pumps' }] });
    await page.getByText('revision 1', { exact: true }).waitFor();
    await page.locator('#document').filter({ hasText: '"goal": "pumps"' }).waitFor();
    await changes.filter({ hasText: 'add /goal "pumps"' }).waitFor();

    // From here on the page is slow to learn of a change.
    let release: () => void = () => undefined;
    const isReleased = new Promise<void>((resolve) => {
      release = resolve;
    });
    await page.route('**/context', (route) => isReleased.then(() => route.continue()));
    const patch = [
      { op: 'replace', path: '/goal', value: 'valves' },
      { op: 'add', path: '/sources', value: [] },
    ];
    await say(id, { type: 'context.patch', patch });
    await send(page, 'Look for more pumps');
    await page.getByText('from revision 1 to 2 (replace /goal, add /sources)').waitFor();
    assert.deepEqual((await system.get(`/api/v1/executions/${id}/messages`)).body.messages, []);
    release();
    await changes.filter({ hasText: 'replace /goal "pumps" → "valves"' }).waitFor();
    await page.getByRole('button', { name: 'Send' }).click();
    await page.locator('#said > li').filter({ hasText: 'Look for more pumps accepted' }).waitFor();

    // Who does not look at it speaks to whatever it is.
    await page.getByText('Context of the agent').click();
    await send(page, 'And valves');
    await page.locator('#said > li').filter({ hasText: 'And valves' }).waitFor();
    const told = (await agent.report(id, { status: 'running' })).body.messages as { if_rev?: number }[];
    assert.deepEqual(
      told.map((message) => message.if_rev),
      [2, undefined],
    );
    await agent.report(id, { status: 'succeeded' });
    await page.close();
    forgiveRefusals(409);
  });

  test('what anybody says stays text and fits a phone: messages, keys, options, questions', async () => {
    const id = await start();
    const markup = '<img src=x onerror="document.title=1">';
    const long = 'w'.repeat(50);
    const page = await open(`/ui/executions/${id}`);
    await page.setViewportSize({ width: 390, height: 844 });
    await say(
      id,
      { type: 'context.patch', patch: [{ op: 'add', path: `/${markup}${long.repeat(3)}`, value: markup }] },
      { type: 'partial_result', data: markup },
    );
    await page.locator('#changes').getByText(markup).first().waitFor();
    await page.getByText('revision 1', { exact: true }).waitFor();
    await send(page, `${markup} ${long.repeat(5)}`);
    await page.locator('#said').getByText(markup).waitFor();
    await send(page, 'Stop');
    await page.locator('#said').getByText('Stop').waitFor();
    const { body } = await agent.report(id, { status: 'running' });
    const [first, second] = body.messages as { id: string }[];
    await say(
      id,
      { type: 'steer.applied', message_id: first?.id, step: `${markup}${long}` },
      { type: 'steer.rejected', message_id: second?.id, reason: `${markup}${long}` },
    );
    const options = ['yes', `${markup}${long}`];
    await agent.report(id, { status: 'waiting', waiting: { kind: 'approval', text: markup + long, options } });
    await page.getByRole('button', { name: markup }).waitFor();
    await page.locator('#asked-text').filter({ hasText: markup }).waitFor();
    await page.locator('#said .quiet').filter({ hasText: markup }).nth(1).waitFor();
    assert.equal(await page.locator('main img').count(), 0);
    const tooWide = await page.evaluate(`[document.documentElement, ...document.querySelectorAll('body *')]
      .filter((one) => one.getBoundingClientRect().right > 390 || isScrolled(one))
      .map((one) => one.outerHTML.slice(0, 80));
      function isScrolled(one) {
        return one.scrollWidth > one.clientWidth && ['auto', 'scroll'].includes(getComputedStyle(one).overflowX);
      }`);
    assert.deepEqual(tooWide, []);
    await system.post(`/api/v1/executions/${id}/cancel`);
    await page.close();
  });

  test('an execution that is not there is said to be missing', async () => {
    const page = await open('/ui/executions/exec_00000000000000000000000000000000');
    await page.getByRole('alert').filter({ hasText: 'execution not found' }).waitFor();
    await page.close();
    forgiveRefusals(404);
  });

  test('none of the pages had anything to complain of', () => {
    assert.deepEqual(flaws, []);
  });
});
