/** Small helpers of both pages. Everything that comes from outside goes into the page as text, never as markup. */

export const API = '/api/v1';

/** An element with properties, attributes (`aria-…`, `data-…`) and children. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties))
    if (key.includes('-')) made.setAttribute(key, value);
    else made[key] = value;
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

export function byId(id) {
  return document.getElementById(id);
}

export function badge(status) {
  return element('span', { className: `badge ${status}` }, status);
}

/** JSON of any kind as a block of text; a text stays as it is. */
export function jsonBlock(value) {
  return element('pre', {}, typeof value === 'string' ? value : JSON.stringify(value, null, 2));
}

export function clock(time) {
  return new Date(time).toLocaleTimeString(undefined, { hour12: false });
}

/** `in 40 s`, `3 min ago`. */
export function relative(iso, now = Date.now()) {
  const seconds = Math.round((Date.parse(iso) - now) / 1000);
  const size = duration(Math.abs(seconds) * 1000);
  return seconds >= 0 ? `in ${size}` : `${size} ago`;
}

export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}

/** A text as it is, anything else as JSON, cut to what fits a line. */
export function brief(value, length = 120) {
  const text = typeof value === 'string' ? value : JSON.stringify(value ?? null);
  return text.length > length ? `${text.slice(0, length)}…` : text;
}

/** Shows a text at its place, which is not there without one. */
export function tell(place, text = '') {
  place.hidden = text === '';
  place.textContent = text;
}

export function showProblem(err) {
  tell(byId('problem'), err?.message);
}

/** The parsed answer; throws with the problem's own words, and the problem. */
export async function ask(path, init) {
  const response = await fetch(path, init);
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(body.detail ?? `HTTP ${response.status}`), { problem: body });
  return body;
}

export function post(path, body) {
  return ask(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

let isActing = false;

/**
 * Does what somebody has asked for, one thing at a time, so that a second click asks for nothing.
 * @param refusal where it is told if it could not be done
 */
export async function act(refusal, doing) {
  if (isActing) return;
  isActing = true;
  tell(refusal);
  try {
    await doing();
  } catch (err) {
    tell(refusal, err.message);
  } finally {
    isActing = false;
  }
}
