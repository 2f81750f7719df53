/**
 * At most `max` characters of a text that comes from outside. Lone surrogates, which a cut through a pair makes too,
 * become U+FFFD: protobuf refuses them, and with them everything around.
 */
export function clip(text: string, max: number): string {
  // Node 20 has toWellFormed, the ES2023 library does not declare it.
  return (text.slice(0, max) as string & { toWellFormed: () => string }).toWellFormed();
}
