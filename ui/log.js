import { brief, byId, clock, duration, element, jsonBlock } from './dom.js';
import { summaryOfPatch } from './context.js';
import { quoteOf } from './messages.js';

/** A reader of a long log wants its end. */
const MAX_SHOWN = 2_000;
/** Kinds whose line says it all. */
const PLAIN = new Set([
  'queued',
  'running',
  'progress',
  'note',
  'steer.delivered',
  'steer.applied',
  'steer.rejected',
  'steer.superseded',
  'paused',
  'resumed',
  'cancelling',
]);

/** One line of the log: what people read of each kind. */
export function summaryOf({ kind, data }) {
  switch (kind) {
    case 'queued':
      return `submitted to ${data.target}`;
    case 'running':
      if (data.turn > 1) return `turn ${data.turn}: the agent is called again`;
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
    case 'checkpoint':
    case 'partial_result':
      return brief(data.data);
    case 'context.patch':
      return `revision ${data.rev}: ${summaryOfPatch(data.patch)}`;
    case 'context.rejected':
      return `still revision ${data.rev}: ${data.reason}`;
    case 'steer.accepted':
      return joined(data.interrupt && 'interrupt', quoteOf(data.id), data.from && `from ${data.from}`);
    case 'steer.delivered':
    case 'steer.superseded':
      return quoteOf(data.id);
    case 'steer.applied':
      return joined(quoteOf(data.id), data.step);
    case 'steer.rejected':
      return joined(quoteOf(data.id), data.reason);
    case 'paused':
    case 'resumed':
      return joined(data.by && `by ${data.by}`, data.reason);
    case 'waiting':
      return `${data.kind}: ${data.text}`;
    case 'answered':
      return answerOf(data);
    case 'cancelling':
      return joined(`the agent has ${duration(data.grace_ms)} to come to an end`, data.reason);
    case 'outcome':
      return data.error === null ? data.status : `${data.status}: ${data.error}`;
    case 'webhook.attempt':
      return data.error === null ? `attempt ${data.attempt} taken` : `attempt ${data.attempt}: ${data.error}`;
    default:
      return '';
  }
}

export function tokensOf({ input_tokens: taken = 0, output_tokens: given = 0 }) {
  return `${taken} tokens in, ${given} out`;
}

function answerOf({ decision, data, by, reason, is_default: isDefault }) {
  const answer = decision ?? (data === undefined ? 'without an answer' : brief(data));
  return joined(isDefault && 'nobody answered in time', answer, by && `by ${by}`, reason);
}

function joined(...parts) {
  return parts.filter(Boolean).join(' · ');
}

export function showEntry(event) {
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
}
