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

export function showProblem(err) {
  byId('problem').hidden = err === undefined;
  byId('problem').textContent = err?.message ?? '';
}

/** The parsed answer; throws with the problem's own words. */
export async function ask(path, init) {
  const response = await fetch(path, init);
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.detail ?? `HTTP ${response.status}`);
  return body;
}
