/**
 * Reads a `Retry-After` header (RFC 9110 §10.2.3: delay in seconds, or an HTTP date).
 * @returns milliseconds to wait, at most `boundMs`; undefined when the header is absent or unreadable
 */
export function retryAfterMs(header: string | string[] | undefined, boundMs: number): number | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined) return undefined;
  const wait = /^\d{1,9}$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), boundMs);
}
