import { API, ask, badge, byId, clock, duration, element, jsonBlock, relative, showProblem } from './dom.js';

const id = decodeURIComponent(location.pathname.split('/').at(-1));
const path = `${API}/executions/${encodeURIComponent(id)}`;
/** What the log does not tell: why it is not moving, and when it should be done. */
const REFRESH_MS = 3_000;
/** A reader of a long log wants its end. */
const MAX_SHOWN = 2_000;

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
  byId('cancel').hidden = isOver;
  showUsage();
  showClocks();
}

function showUsage() {
  const { usage } = view;
  byId('usage').hidden = usage === null;
  if (usage)
    byId('usage').textContent = tokensOf(usage) + (usage.cost_usd > 0 ? `, $${usage.cost_usd.toFixed(4)}` : '');
}

function tokensOf({ input_tokens: taken = 0, output_tokens: given = 0 }) {
  return `${taken} tokens in, ${given} out`;
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
  const { waiting_on: waiting } = view;
  byId('waiting').textContent = waiting
    ? [
        `${waiting.detail} (since ${duration(Math.max(0, Date.now() - Date.parse(waiting.since)))})`,
        waiting.next_retry_at && `attempt ${waiting.attempt} ${relative(waiting.next_retry_at)}`,
        waiting.last_error && `last error: ${waiting.last_error}`,
      ]
        .filter(Boolean)
        .join(' · ')
    : '';
}

/** One line of the log: what people read of each kind. */
function summaryOf({ kind, data }) {
  switch (kind) {
    case 'queued':
      return `submitted to ${data.target}`;
    case 'running':
      return data.lane === 'local' ? 'the agent is called' : 'the call goes on as an activity';
    case 'progress':
      return [data.status, data.current_action, data.progress_pct === undefined ? undefined : `${data.progress_pct} %`]
        .filter((part) => part !== undefined)
        .join(' · ');
    case 'step':
      return [data.kind.replaceAll('_', ' '), data.name, data.summary].filter(Boolean).join(' · ');
    case 'note':
      return data.text;
    case 'artifact':
      return `${data.name} (${data.media_type})`;
    case 'usage':
      return tokensOf(data);
    case 'outcome':
      return data.error === null ? data.status : `${data.status}: ${data.error}`;
    case 'webhook.attempt':
      return data.error === null ? `attempt ${data.attempt} taken` : `attempt ${data.attempt}: ${data.error}`;
    default:
      return '';
  }
}

const PLAIN = new Set(['queued', 'running', 'progress', 'note']);

function showEntry(event) {
  const { sequence, kind, at, data } = event;
  const log = byId('log');
  const head = element('div', {}, element('strong', {}, kind), ' ', summaryOf(event));
  const body = element('div', {}, head);
  const detail = kind === 'step' ? data.data : data;
  if (!PLAIN.has(kind) && detail !== undefined) {
    const details = element('details', {}, element('summary', { className: 'quiet' }, 'data'));
    // Made when it is opened: a long log is full of it.
    details.addEventListener(
      'toggle',
      () => details.open && details.childElementCount === 1 && details.append(jsonBlock(detail)),
    );
    body.append(details);
  }
  log.append(
    element('li', { id: `entry-${sequence}` }, element('span', { className: 'quiet', title: at }, clock(at)), body),
  );
  if (log.childElementCount > MAX_SHOWN) log.firstElementChild.remove();
  if (kind === 'outcome') showEnd(data);
  if (kind === 'webhook.attempt') showAttempt(data);
}

function showEnd({ status, result, error, error_details: details }) {
  byId('end').hidden = false;
  byId('end-title').textContent = status === 'succeeded' ? 'Result' : 'Error';
  byId('end-body').replaceChildren(
    ...(status === 'succeeded'
      ? [jsonBlock(result)]
      : [element('p', { className: 'failed' }, error ?? ''), ...(details === null ? [] : [jsonBlock(details)])]),
  );
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
    } else showEntry(event);
    refreshSoon();
  });
}

function setUpCancel() {
  const dialog = byId('confirm');
  byId('cancel').addEventListener('click', () => dialog.showModal());
  dialog.addEventListener('close', () => {
    if (dialog.returnValue !== 'yes') return;
    const reason = byId('reason').value.trim();
    ask(`${path}/cancel`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(reason === '' ? {} : { reason }),
    })
      .then(refresh)
      .catch(showProblem);
  });
}

async function showTemporalLink() {
  const { temporal_ui_url: base, namespace } = await ask('/ui/settings.json');
  if (!base) return;
  const link = byId('temporal');
  link.href = `${base}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(id)}`;
  link.hidden = false;
}

setUpCancel();
follow();
refresh().catch(showProblem);
showTemporalLink().catch(() => undefined);
setInterval(showClocks, 1_000);
setInterval(() => {
  if (!isComplete && document.visibilityState === 'visible') refresh().catch(showProblem);
}, REFRESH_MS);
