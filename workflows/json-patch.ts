/**
 * JSON Patch (RFC 6902) on plain JSON, without changing what it is given: readers keep what they have got. All or
 * nothing, and bounded, for agents write these.
 */
import type { Json, JsonObject } from './execution.ts';

export type PatchOperation =
  | { op: 'add' | 'replace' | 'test'; path: string; value: Json }
  | { op: 'remove'; path: string }
  | { op: 'move' | 'copy'; from: string; path: string };

/** A document that is patched. `chars` is at least the length of its JSON. */
export interface PatchedDocument {
  document: Json;
  chars: number;
}

/** Why a patch does not apply, and its operation that does not, counted from 0. */
export class PatchFlaw extends Error {
  readonly operation: number;

  constructor(operation: number, message: string) {
    super(message);
    this.operation = operation;
  }
}

export const MAX_PATCH_OPERATIONS = 200;
/** Of a document, as JSON. */
export const MAX_DOCUMENT_CHARS = 256 * 1024;
const MAX_DEPTH = 100;

class Inapplicable extends Error {}

type Container = Json[] | JsonObject;

/** Throws `PatchFlaw`. */
export function applyPatch(
  before: PatchedDocument,
  patch: PatchOperation[],
  maxChars = MAX_DOCUMENT_CHARS,
): PatchedDocument {
  let { document, chars } = before;
  for (const [i, operation] of patch.entries()) {
    try {
      const written = valueOf(document, operation);
      document = applyOne(document, operation, written);
      if (written === undefined || operation.op === 'test') continue;
      chars += JSON.stringify(written).length + operation.path.length + 4;
      if (chars > maxChars) chars = JSON.stringify(document).length;
      if (chars > maxChars) throw new Inapplicable(`the document would be longer than ${maxChars} characters`);
    } catch (err) {
      if (err instanceof Inapplicable) throw new PatchFlaw(i, err.message);
      throw err;
    }
  }
  return { document, chars };
}

/** What an operation writes or compares with. */
function valueOf(document: Json, operation: PatchOperation): Json | undefined {
  switch (operation.op) {
    case 'remove':
      return undefined;
    case 'move':
    case 'copy':
      return valueAt(document, tokensOf(operation.from));
    default:
      return operation.value;
  }
}

function applyOne(document: Json, operation: PatchOperation, value: Json = null): Json {
  const tokens = tokensOf(operation.path);
  if (operation.op !== 'remove' && operation.op !== 'test') refuseIfTooDeep(value, tokens.length);
  switch (operation.op) {
    case 'test':
      if (!isEqual(valueAt(document, tokens), value)) throw new Inapplicable('the test fails');
      return document;
    case 'add':
    case 'copy':
      return add(document, tokens, value);
    case 'replace':
      return replace(document, tokens, value);
    case 'remove':
      return remove(document, tokens);
    case 'move':
      if (operation.path.startsWith(`${operation.from}/`)) throw new Inapplicable('a value cannot move into itself');
      return add(remove(document, tokensOf(operation.from)), tokens, value);
  }
}

function add(document: Json, tokens: string[], value: Json): Json {
  return edit(document, tokens, value, (into, token) => {
    if (Array.isArray(into)) into.splice(indexOf(into, token, into.length), 0, value);
    else into[token] = value;
  });
}

function replace(document: Json, tokens: string[], value: Json): Json {
  return edit(document, tokens, value, (into, token) => {
    childOf(into, token);
    if (Array.isArray(into)) into[Number(token)] = value;
    else into[token] = value;
  });
}

function remove(document: Json, tokens: string[]): Json {
  return edit(document, tokens, null, (from, token) => {
    childOf(from, token);
    if (Array.isArray(from)) from.splice(Number(token), 1);
    else delete from[token];
  });
}

/**
 * Copies what lies on the way, and edits the copy of the last container.
 * @param whole what the document becomes when it is named itself
 */
function edit(
  document: Json,
  tokens: string[],
  whole: Json,
  change: (container: Container, token: string) => void,
): Json {
  const [token, ...rest] = tokens;
  if (token === undefined) return whole;
  if (typeof document !== 'object' || document === null) throw new Inapplicable('the path does not exist');
  const copy = Array.isArray(document) ? [...document] : { ...document };
  if (rest.length === 0) change(copy, token);
  else if (Array.isArray(copy)) copy[Number(token)] = edit(childOf(copy, token), rest, whole, change);
  else copy[token] = edit(childOf(copy, token), rest, whole, change);
  return copy;
}

function valueAt(document: Json, tokens: string[]): Json {
  return tokens.reduce<Json>((value, token) => {
    if (typeof value !== 'object' || value === null) throw new Inapplicable('the path does not exist');
    return childOf(value, token);
  }, document);
}

function childOf(container: Container, token: string): Json {
  if (Array.isArray(container)) return container[indexOf(container, token, container.length - 1)] ?? null;
  if (!Object.hasOwn(container, token)) throw new Inapplicable('the path does not exist');
  return container[token] ?? null;
}

function indexOf(array: Json[], token: string, last: number): number {
  if (token === '-' && last === array.length) return array.length;
  if (!/^(0|[1-9]\d{0,8})$/.test(token) || Number(token) > last) throw new Inapplicable('there is no such index');
  return Number(token);
}

/** JSON Pointer (RFC 6901). */
function tokensOf(pointer: string): string[] {
  if (pointer === '') return [];
  if (!pointer.startsWith('/') || /~(?![01])/.test(pointer)) throw new Inapplicable('the path is no JSON Pointer');
  const tokens = pointer
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (tokens.length > MAX_DEPTH) throw new Inapplicable(`the path is deeper than ${MAX_DEPTH}`);
  if (tokens.includes('__proto__')) throw new Inapplicable('__proto__ cannot be used as a key');
  return tokens;
}

function refuseIfTooDeep(value: Json, below: number): void {
  if (below > MAX_DEPTH) throw new Inapplicable(`the document would be deeper than ${MAX_DEPTH}`);
  if (typeof value !== 'object' || value === null) return;
  for (const child of Object.values(value)) refuseIfTooDeep(child, below + 1);
}

function isEqual(a: Json, b: Json): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  const [left, right] = [a as JsonObject, b as JsonObject];
  return keys.every((key) => Object.hasOwn(right, key) && isEqual(left[key] ?? null, right[key] ?? null));
}
