import { act, brief, byId, element, post, relative, showProblem, tell } from './dom.js';

let path;
let refresh;
let view;
/** When the question began that is shown. */
let asked;

/** What a person decides about a running execution: to hold it, to end it, what to answer its agent. */
export function setUpControl(executionPath, refreshPage) {
  [path, refresh] = [executionPath, refreshPage];
  byId('hold').addEventListener('click', () => void decide('refused', view.paused ? 'resume' : 'pause'));
  const dialog = byId('confirm');
  byId('cancel').addEventListener('click', () => dialog.showModal());
  dialog.addEventListener('close', () => {
    if (dialog.returnValue !== 'yes') return;
    const reason = byId('reason').value.trim();
    void decide('refused', 'cancel', reason === '' ? {} : { reason });
  });
  byId('answer').addEventListener('submit', (event) => {
    event.preventDefault();
    const text = byId('answer-text')?.value.trim();
    if (text) void decide('not-answered', 'resume', { data: text, turn: view.waiting?.turn });
  });
}

function decide(refusal, action, body = {}) {
  return act(byId(refusal), async () => {
    await post(`${path}/${action}`, body);
    await refresh().catch(showProblem);
  });
}

export function showControl(now) {
  view = now;
  const { paused, waiting, completed_at: end } = view;
  byId('cancel').hidden = end !== null;
  // One button, so that it keeps the focus. What waits for an answer does not work: there is nothing to hold.
  byId('hold').hidden = end !== null || (paused === null && waiting !== null);
  byId('hold').textContent = paused === null ? 'Pause' : 'Resume';
  byId('asked').hidden = waiting === null;
  byId('answer').hidden = paused !== null;
  byId('asked-note').textContent =
    paused === null
      ? 'A message to the agent makes it go on too, without an answer.'
      : 'It is paused: it can be answered once it is resumed.';
  if (waiting?.since === asked) return;
  // Not before there is another question: somebody may be writing.
  asked = waiting?.since;
  byId('asked-title').textContent = waiting?.kind === 'approval' ? 'The agent asks for approval' : 'The agent asks';
  byId('asked-text').textContent = waiting?.text ?? '';
  byId('answer').replaceChildren(...(waiting === null ? [] : controlsOf(waiting)));
  tell(byId('not-answered'));
}

/** What changes with the time alone. */
export function showExpiry() {
  const { expires_at: expiry, default: fallback } = view?.waiting ?? {};
  const then = fallback === null ? 'the execution ends' : `“${brief(fallback)}” counts as the answer`;
  byId('expiry').textContent = expiry ? `Expires ${relative(expiry)}; then ${then}.` : '';
}

function controlsOf({ kind, options, turn }) {
  if (kind === 'question') {
    const text = element('textarea', { id: 'answer-text', rows: 2, maxLength: 8_000, required: true });
    return [element('label', {}, 'Your answer ', text), element('button', {}, 'Answer')];
  }
  const why = element('input', { maxLength: 1_000, autocomplete: 'off' });
  const buttons = options.map((decision) => {
    // Not what the Enter key in the field does: a decision is made by its own button.
    const button = element('button', { type: 'button' }, decision);
    button.addEventListener('click', () => {
      const reason = why.value.trim();
      void decide('not-answered', 'approval', { decision, turn, ...(reason !== '' && { reason }) });
    });
    return button;
  });
  return [element('label', {}, 'Why ', why), ...buttons];
}
