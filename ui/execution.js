import { showContext, showPatch } from './context.js';
import { setUpControl, showControl, showExpiry } from './control.js';
import { API, ask, badge, byId, duration, element, jsonBlock, relative, showProblem } from './dom.js';
import { showEntry, tokensOf } from './log.js';
import { setUpMessages, showBox, showMessage } from './messages.js';

const id = decodeURIComponent(location.pathname.split('/').at(-1));
const path = `${API}/executions/${encodeURIComponent(id)}`;
/** What the log does not tell: why it is not moving, and when it should be done. */
const REFRESH_MS = 3_000;

let view;
let isComplete = false;

function showView() {
  const isOver = view.completed_at !== null;
  document.title = `${view.status} · ${view.target} · Perdure`;
  byId('target').textContent = view.target;
  byId('status').replaceChildren(badge(view.status));
  byId('identity').replaceChildren(
    `${view.execution_id} · run `,
    element('a', { href: `/ui?run_id=${encodeURIComponent(view.run_id)}` }, view.run_id),
    ` · started ${new Date(view.created_at).toLocaleString()}`,
    view.duration_ms === null ? '' : ` · took ${duration(view.duration_ms)}`,
  );
  byId('action').textContent = view.current_action ?? view.last_step?.summary ?? view.last_step?.name ?? '–';
  const progress = byId('progress');
  if (isOver) progress.value = view.status === 'succeeded' ? 100 : (view.progress_pct ?? 0);
  else if (view.progress_pct === null) progress.removeAttribute('value');
  else progress.value = view.progress_pct;
  showUsage();
  showControl(view);
  showBox(isOver);
  showContext(path, view.context_rev);
  showClocks();
  if (isOver && byId('end').hidden) showEnd();
}

function showUsage() {
  const { usage } = view;
  byId('usage').hidden = usage === null;
  if (usage)
    byId('usage').textContent = tokensOf(usage) + (usage.cost_usd > 0 ? `, $${usage.cost_usd.toFixed(4)}` : '');
}

/** What changes with the time alone. */
function showClocks() {
  if (!view) return;
  const isOver = view.completed_at !== null;
  const whose = { agent: 'says the agent', progress: 'by its progress', history: 'as others before' };
  byId('estimate').textContent =
    isOver || view.estimated_completion === null
      ? ''
      : `done ${relative(view.estimated_completion)}, ${whose[view.estimate_basis] ?? ''}`;
  byId('waiting').textContent = view.waiting_on ? wordsOf(view.waiting_on) : '';
  showExpiry();
}

function wordsOf({ detail, since, attempt, next_retry_at: next, last_error: error }) {
  // The question itself has its own place.
  const what = view.waiting !== null && view.paused === null ? 'the agent waits for an answer' : detail;
  return [
    `${what} (since ${duration(Math.max(0, Date.now() - Date.parse(since)))})`,
    next && `attempt ${attempt} ${relative(next)}`,
    error && `last error: ${error}`,
  ]
    .filter(Boolean)
    .join(' · ');
}

/** An end does not change: it is shown once. */
function showEnd() {
  const { status, result, error, error_details: details, partial_result: partial, checkpoint } = view;
  byId('end').hidden = false;
  byId('end-title').textContent = status === 'succeeded' ? 'Result' : 'Error';
  byId('end-body').replaceChildren(
    ...(status === 'succeeded'
      ? [jsonBlock(result)]
      : [
          element('p', { className: 'failed' }, error ?? ''),
          ...block(undefined, details),
          ...block('Partial result', partial),
          ...block('Checkpoint', checkpoint),
        ]),
  );
}

/** Nothing where there is nothing to show. */
function block(title, value) {
  if (value === null || value === undefined) return [];
  return [...(title === undefined ? [] : [element('h3', {}, title)]), jsonBlock(value)];
}

function showAttempt({ attempt, http_status: status, error, timestamp, duration_ms: took }) {
  byId('webhook').hidden = false;
  byId('attempts').append(
    element(
      'tr',
      {},
      element('td', {}, String(attempt)),
      element('td', { className: error === null ? 'succeeded' : 'failed' }, error ?? `HTTP ${status}`),
      element('td', { className: 'wide' }, timestamp ? new Date(timestamp).toLocaleString() : '–'),
      element('td', {}, took === null ? '–' : duration(took)),
    ),
  );
}

async function refresh() {
  view = await ask(path);
  showProblem();
  showView();
}

let refreshing;
/** After an entry the rest of the page follows, once for all that come together. */
function refreshSoon() {
  refreshing ??= setTimeout(() => {
    refreshing = undefined;
    refresh().catch(showProblem);
  }, 100);
}

function showEvent(event) {
  const { kind, data } = event;
  // Before its line in the log, which quotes it.
  showMessage(event);
  showEntry(event);
  if (kind === 'context.patch') showPatch(data);
  if (kind === 'webhook.attempt') showAttempt(data);
}

function follow() {
  const source = new EventSource(`${path}/events?after=0&type=message`);
  const live = byId('live');
  source.addEventListener('open', () => (live.textContent = 'live'));
  source.addEventListener('error', () => {
    if (!isComplete) live.textContent = source.readyState === EventSource.CLOSED ? 'not connected' : 'reconnecting';
  });
  source.addEventListener('message', ({ data }) => {
    const event = JSON.parse(data);
    if (event.kind === 'end') {
      isComplete = true;
      source.close();
      live.textContent = 'complete';
    } else showEvent(event);
    refreshSoon();
  });
}

async function showTemporalLink() {
  const { temporal_ui_url: base, namespace } = await ask('/ui/settings.json');
  if (!base) return;
  const link = byId('temporal');
  link.href = `${base}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(id)}`;
  link.hidden = false;
}

setUpControl(path, refresh);
setUpMessages(path, refreshSoon);
follow();
refresh().catch(showProblem);
showTemporalLink().catch(() => undefined);
setInterval(showClocks, 1_000);
setInterval(() => {
  // The log may know of the end before the process that is asked here.
  const isDone = isComplete && view?.completed_at !== null;
  if (!isDone && document.visibilityState === 'visible') refresh().catch(showProblem);
}, REFRESH_MS);
