/** Deepest nesting that is taken from clients and agents: more breaks recursive code, and no honest document has it. */
export const MAX_JSON_DEPTH = 100;

export interface JsonFlaw {
  /** JSON path of the flaw, as in `$.input.items[3]`. */
  path: string;
  flaw: 'nested too deeply' | 'key "__proto__"' | 'NUL character' | 'lone surrogate' | 'number out of range';
}

/** The first thing in a parsed JSON value that later code or a database would choke on. Does not recurse. */
export function findJsonFlaw(root: unknown, checks: { text: boolean }): JsonFlaw | undefined {
  const open: { value: unknown; path: string; depth: number }[] = [{ value: root, path: '$', depth: 0 }];
  for (let item = open.pop(); item; item = open.pop()) {
    const { value, path, depth } = item;
    if (typeof value === 'string' && checks.text) {
      const flaw = textFlaw(value);
      if (flaw) return { path, flaw };
    }
    // JSON can spell it, JSON.parse makes Infinity of it, and written out again it would be null.
    if (typeof value === 'number' && !Number.isFinite(value)) return { path, flaw: 'number out of range' };
    if (typeof value !== 'object' || value === null) continue;
    if (depth >= MAX_JSON_DEPTH) return { path: path.slice(0, 200), flaw: 'nested too deeply' };
    for (const [key, child] of Object.entries(value)) {
      const childPath = Array.isArray(value) ? `${path}[${key}]` : `${path}.${key.slice(0, 64)}`;
      if (checks.text) {
        if (key === '__proto__') return { path, flaw: 'key "__proto__"' };
        const flaw = textFlaw(key);
        if (flaw) return { path, flaw };
      }
      open.push({ value: child, path: childPath, depth: depth + 1 });
    }
  }
  return undefined;
}

/** JSON with object keys in order: equal for values that mean the same. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

function textFlaw(text: string): 'NUL character' | 'lone surrogate' | undefined {
  if (text.includes('\0')) return 'NUL character';
  // Node 20 has isWellFormed, the ES2023 library does not declare it.
  return (text as string & { isWellFormed: () => boolean }).isWellFormed() ? undefined : 'lone surrogate';
}
