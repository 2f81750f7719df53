import { ask, brief, byId, element, showProblem, tell } from './dom.js';

/** Of one patch: an agent may change 200 things at once. */
const MAX_CHANGES = 20;

/** The agent's context as it is shown, and the one that was shown before it. */
let shown;
let before;
/** What the newest `context.patch` of the log says. */
let newest;
let wanted = 0;
let isReading = false;

/** Revision that a person has before their eyes; undefined where they have none. */
export function revisionShown() {
  return byId('context').open && !byId('context').hidden ? shown?.rev : undefined;
}

export function summaryOfPatch(patch) {
  const named = patch.slice(0, 3).map(({ op, path }) => `${op} ${nameOf(path)}`);
  return named.join(', ') + (patch.length > 3 ? ` and ${patch.length - 3} more` : '');
}

export function showPatch(data) {
  newest = data;
  showChanges();
}

/** @param rev what the context is known to be at */
export function showContext(path, rev) {
  wanted = Math.max(wanted, rev);
  if (!isReading) read(path).catch(showProblem);
}

/** One answer at a time, until nothing newer is known. */
async function read(path) {
  isReading = true;
  try {
    while ((shown?.rev ?? 0) < wanted) {
      const answer = await ask(`${path}/context`);
      // Another process than the one that knew of it, and a little behind: the next refresh asks again.
      if (answer.rev <= (shown?.rev ?? 0)) return;
      [before, shown] = [shown, answer];
      byId('context').hidden = false;
      byId('revision').textContent = `revision ${shown.rev}`;
      byId('document').textContent = JSON.stringify(shown.document, null, 2);
      showChanges();
    }
  } finally {
    isReading = false;
  }
}

function showChanges() {
  if (newest === undefined || newest.rev !== shown?.rev) return;
  const { patch, rev } = newest;
  const known = before?.rev === rev - 1 ? before.document : undefined;
  byId('changes').replaceChildren(...patch.slice(0, MAX_CHANGES).map((operation) => lineOf(operation, known)));
  tell(byId('more-changes'), patch.length > MAX_CHANGES ? `and ${patch.length - MAX_CHANGES} more` : '');
}

/** One operation: what, where, and what stood there before the patch, if that is known. */
function lineOf({ op, path, from, value }, known) {
  const old = op === 'test' ? undefined : valueAt(known, path);
  return element(
    'li',
    {},
    element('strong', {}, op),
    ' ',
    element('code', {}, nameOf(path)),
    from === undefined ? '' : ` from ${nameOf(from)}`,
    ' ',
    old === undefined ? undefined : element('del', {}, brief(JSON.stringify(old))),
    old === undefined || value === undefined ? undefined : ' → ',
    value === undefined ? undefined : element('ins', {}, brief(JSON.stringify(value))),
  );
}

function nameOf(pointer) {
  return pointer === '' ? 'all of it' : brief(pointer, 80);
}

/** By JSON Pointer, through objects alone: in a list, the operations before may have moved what is meant. */
function valueAt(document, pointer) {
  let value = document;
  for (const token of pointer.split('/').slice(1)) {
    const key = token.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key))
      return undefined;
    value = value[key];
  }
  return value;
}
