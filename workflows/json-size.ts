import type { Json } from './execution.ts';

/** Bytes of a value as JSON in UTF-8, which is what Temporal counts. Workflow code has no Buffer. */
export function jsonBytes(value: Json | object | undefined): number {
  if (value === undefined) return 0;
  const text = JSON.stringify(value);
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) continue;
    // Each half of a surrogate pair counts two.
    bytes += code < 0x800 || (code >= 0xd800 && code <= 0xdfff) ? 1 : 2;
  }
  return bytes;
}
