import { revisionShown, summaryOfPatch } from './context.js';
import { act, badge, brief, byId, element, post, tell } from './dom.js';

const MAX_SHOWN = 100;
/** What becomes of a message; an agent may say `steer.` and something else. */
const STATUSES = new Set(['accepted', 'delivered', 'applied', 'rejected', 'superseded']);

/** Messages by their id: what was said, and where it is shown what became of it. */
const said = new Map();
/** The last one whose answer is still to come, or got lost. */
let unsure;

export function quoteOf(id) {
  const message = said.get(id);
  return message ? `“${brief(message.text, 200)}”` : id;
}

/** @param onChanged called when the page shows an older context than the agent has */
export function setUpMessages(path, onChanged) {
  const form = byId('speak');
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = byId('message').value.trim();
    if (text === '') return;
    const rev = revisionShown();
    const message = { text, interrupt: byId('interrupt').checked, ...(rev !== undefined && { if_rev: rev }) };
    tell(byId('sent'));
    void act(byId('not-sent'), () => send(message));
  });

  async function send(message) {
    try {
      await post(`${path}/messages`, { ...message, id: idOf(message) });
    } catch (err) {
      const { problem } = err;
      if (problem?.status < 500) unsure = undefined;
      if (problem?.code !== 'context_changed') throw err;
      onChanged();
      throw new Error(wordsOfChange(message.if_rev, problem), { cause: err });
    }
    unsure = undefined;
    if (byId('message').value.trim() === message.text) form.reset();
    const effect = message.interrupt ? ' The agent is to hold until it has dealt with it.' : '';
    tell(byId('sent'), `Sent.${effect} What becomes of it stands below.`);
  }
}

/** The box while somebody is there to hear it, the list as long as there is something in it. */
export function showBox(isOver) {
  byId('speak').hidden = isOver;
  byId('messages').hidden = isOver && said.size === 0;
}

/** Takes notice of the entries `steer.…` of the log. */
export function showMessage({ kind, data }) {
  const [word, status] = kind.split('.');
  if (word !== 'steer' || !STATUSES.has(status)) return;
  if (status === 'accepted') addMessage(data);
  const line = said.get(data.id)?.line;
  if (!line) return;
  const remark = data.step ?? data.reason;
  line.replaceChildren(badge(status), remark === undefined ? '' : ` ${remark}`);
}

function addMessage({ id, text, data, from, interrupt }) {
  const line = element('span', { className: 'quiet' });
  const words = text ?? brief(data, 2_000);
  said.set(id, { text: words, line });
  const list = byId('said');
  const head = [interrupt && 'interrupt', from].filter(Boolean).join(' · ');
  list.append(
    element(
      'li',
      {},
      head === '' ? undefined : element('span', { className: 'quiet' }, `${head}: `),
      element('span', { className: 'words' }, words),
      ' ',
      line,
    ),
  );
  if (list.childElementCount > MAX_SHOWN) list.firstElementChild.remove();
}

function wordsOfChange(seen, { rev, patches = [] }) {
  const changes = patches.flatMap(({ patch }) => patch);
  const what = changes.length === 0 ? '' : ` (${summaryOfPatch(changes)})`;
  return `Not sent: the agent has changed its context since, from revision ${seen} to ${rev}${what}. Send it again if it still holds.`;
}

/** What is sent again because no answer came is the same message: the agent gets it once. */
function idOf(message) {
  const body = JSON.stringify(message);
  if (unsure?.body !== body) {
    const bytes = [...crypto.getRandomValues(new Uint8Array(12))];
    unsure = { body, id: `msg_${bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')}` };
  }
  return unsure.id;
}
