/** An HTTP date starts with the name of a day, in each of its three forms (RFC 9110 §5.6.7). */
const HTTP_DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/;

/**
 * Reads a `Retry-After` header (RFC 9110 §10.2.3: delay in seconds, or an HTTP date).
 * @returns milliseconds to wait, at most `boundMs`; undefined when the header is absent, unreadable, or asks for no
 *   pause: to Temporal a delay of zero means that there is to be no retry
 */
export function retryAfterMs(header: string | string[] | undefined, boundMs: number): number | undefined {
  const text = (Array.isArray(header) ? header[0] : header)?.trim();
  if (text === undefined) return undefined;
  const waitMs = /^\d+$/.test(text)
    ? Number(text) * 1000
    : HTTP_DATE.test(text)
      ? Date.parse(text) - Date.now()
      : Number.NaN;
  return waitMs > 0 ? Math.min(waitMs, boundMs) : undefined;
}
