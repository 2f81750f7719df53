import { API, ask, badge, byId, clock, duration, element, relative, showProblem } from './dom.js';

const REFRESH_MS = 5_000;
const FILTERS = ['status', 'target', 'run_id'];

let cursor;
let next;

function filters() {
  const form = new FormData(byId('filters'));
  const chosen = new URLSearchParams();
  for (const name of FILTERS) {
    const value = form.get(name);
    if (typeof value === 'string' && value.trim() !== '') chosen.set(name, value.trim());
  }
  return chosen;
}

async function refresh() {
  const query = filters();
  query.set('limit', '50');
  if (cursor !== undefined) query.set('cursor', cursor);
  const { executions, next_cursor } = await ask(`${API}/executions?${query}`);
  next = next_cursor ?? undefined;
  showProblem();
  byId('empty').hidden = executions.length > 0;
  byId('older').hidden = next === undefined;
  byId('newest').hidden = cursor === undefined;
  showRows(executions.map(row));
  byId('live').textContent = `as of ${clock(Date.now())}`;
}

/** By execution: a row stays where it is while somebody is about to click on it. */
const rows = new Map();

function row(view) {
  const known = rows.get(view.execution_id) ?? emptyRow(view);
  rows.set(view.execution_id, known);
  const [status, , now, began, took] = known.children;
  status.replaceChildren(badge(view.status));
  now.textContent = (view.error ?? view.current_action ?? view.waiting_on?.detail ?? '').slice(0, 120);
  began.textContent = relative(view.created_at);
  took.textContent = view.duration_ms === null ? '' : duration(view.duration_ms);
  return known;
}

function emptyRow({ execution_id: id, target, created_at: began }) {
  return element(
    'tr',
    {},
    element('td', {}),
    element('td', {}, element('a', { href: `/ui/executions/${encodeURIComponent(id)}` }, target)),
    element('td', { className: 'wide quiet' }),
    element('td', { title: began }),
    element('td', { className: 'wide' }),
  );
}

function showRows(wanted) {
  const body = byId('rows');
  const isSame = wanted.length === body.children.length && wanted.every((one, i) => one === body.children[i]);
  if (!isSame) body.replaceChildren(...wanted);
  for (const [id, one] of rows) if (!wanted.includes(one)) rows.delete(id);
}

function show() {
  return refresh().catch(showProblem);
}

/** The filters are in the address, so that a view can be kept and sent. */
function readAddress() {
  const wanted = new URLSearchParams(location.search);
  for (const name of FILTERS) byId('filters').elements[name].value = wanted.get(name) ?? '';
}

byId('filters').addEventListener('submit', (event) => {
  event.preventDefault();
  cursor = undefined;
  history.replaceState(null, '', `?${filters()}`);
  void show();
});
byId('older').addEventListener('click', () => {
  cursor = next;
  void show();
});
byId('newest').addEventListener('click', () => {
  cursor = undefined;
  void show();
});

readAddress();
void show();
setInterval(() => {
  if (cursor === undefined && document.visibilityState === 'visible') void show();
}, REFRESH_MS);
