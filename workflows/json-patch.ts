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

/** Characters that the operations of one patch may look at, beside those of the patch itself: it is folded by every reader. */
const MAX_WORK_CHARS = 1024 * 1024;

/** Throws `PatchFlaw`. */
export function applyPatch(
  before: PatchedDocument,
  patch: PatchOperation[],
  maxChars = MAX_DOCUMENT_CHARS,
): PatchedDocument {
  const draft = createDraft(before, maxChars);
  for (const [i, operation] of patch.entries()) {
    try {
      applyOne(draft, operation);
    } catch (err) {
      if (err instanceof Inapplicable) throw new PatchFlaw(i, err.message);
      throw err;
    }
  }
  const { document, chars } = draft;
  return { document, chars };
}

/** A document in the course of one patch. */
interface Draft extends PatchedDocument {
  /** Containers that were copied for this patch: it may change them. */
  own: Set<Container>;
  work: number;
  maxChars: number;
}

function createDraft({ document, chars }: PatchedDocument, maxChars: number): Draft {
  return { document, chars, own: new Set(), work: 0, maxChars };
}

function applyOne(draft: Draft, operation: PatchOperation): void {
  const tokens = tokensOf(operation.path);
  switch (operation.op) {
    case 'test':
      if (!isEqual(valueAt(draft.document, tokens), operation.value)) throw new Inapplicable('the test fails');
      return;
    case 'add':
      return add(draft, tokens, operation.value);
    case 'copy':
      return add(draft, tokens, shared(draft, valueAt(draft.document, tokensOf(operation.from))));
    case 'replace':
      return replace(draft, tokens, operation.value);
    case 'remove':
      return void remove(draft, tokens);
    case 'move': {
      if (operation.path.startsWith(`${operation.from}/`)) throw new Inapplicable('a value cannot move into itself');
      return add(draft, tokens, remove(draft, tokensOf(operation.from)));
    }
  }
}

/** A value that stands in two places from now on: a change of one must not be one of the other. */
function shared(draft: Draft, value: Json): Json {
  disown(draft, value);
  return value;
}

function disown(draft: Draft, value: Json): void {
  if (typeof value !== 'object' || value === null || !draft.own.delete(value)) return;
  for (const child of Object.values(value)) disown(draft, child);
}

function add(draft: Draft, tokens: string[], value: Json): void {
  refuseIfTooDeep(value, tokens.length);
  edit(draft, tokens, (into, token) => {
    if (into === undefined) return replaceWhole(draft, value);
    if (Array.isArray(into)) {
      grow(draft, measure(draft, value) + 1);
      into.splice(indexOf(into, token, into.length), 0, value);
      return;
    }
    const before = Object.hasOwn(into, token) ? measure(draft, into[token] ?? null) : -JSON.stringify(token).length - 2;
    grow(draft, measure(draft, value) - before);
    into[token] = value;
  });
}

function replace(draft: Draft, tokens: string[], value: Json): void {
  refuseIfTooDeep(value, tokens.length);
  edit(draft, tokens, (into, token) => {
    if (into === undefined) return replaceWhole(draft, value);
    grow(draft, measure(draft, value) - measure(draft, childOf(into, token)));
    if (Array.isArray(into)) into[Number(token)] = value;
    else into[token] = value;
  });
}

/** @returns what was there */
function remove(draft: Draft, tokens: string[]): Json {
  let removed: Json = null;
  edit(draft, tokens, (from, token) => {
    if (from === undefined) {
      removed = draft.document;
      return replaceWhole(draft, null);
    }
    removed = childOf(from, token);
    grow(draft, -measure(draft, removed));
    if (Array.isArray(from)) from.splice(Number(token), 1);
    else delete from[token];
  });
  return removed;
}

function replaceWhole(draft: Draft, value: Json): void {
  draft.chars = measure(draft, value);
  refuseIfTooLong(draft);
  draft.document = value;
}

/** Keeps count of the length, before a change. It is never less than the true one: what seems too long is written out. */
function grow(draft: Draft, chars: number): void {
  draft.chars += chars;
  if (draft.chars > draft.maxChars) draft.chars = measure(draft, draft.document) + chars;
  refuseIfTooLong(draft);
}

function refuseIfTooLong({ chars, maxChars }: Draft): void {
  if (chars > maxChars) throw new Inapplicable(`the document would be longer than ${maxChars} characters`);
}

/** The length of a value as JSON. */
function measure(draft: Draft, value: Json): number {
  const { length } = JSON.stringify(value);
  draft.work += length;
  if (draft.work > MAX_WORK_CHARS)
    throw new Inapplicable(`the patch goes through more than ${MAX_WORK_CHARS} characters: send it in smaller ones`);
  return length;
}

/**
 * Copies what lies on the way, once per patch, and changes the copy of the last container.
 * @param change gets no container where the document is named itself
 */
function edit(draft: Draft, tokens: string[], change: (container: Container | undefined, token: string) => void): void {
  const last = tokens.at(-1);
  if (last === undefined) return change(undefined, '');
  let container = owned(draft, draft.document);
  draft.document = container;
  for (const token of tokens.slice(0, -1)) {
    const child = owned(draft, childOf(container, token));
    if (Array.isArray(container)) container[Number(token)] = child;
    else container[token] = child;
    container = child;
  }
  change(container, last);
}

function owned(draft: Draft, value: Json): Container {
  if (typeof value !== 'object' || value === null) throw new Inapplicable('the path does not exist');
  if (draft.own.has(value)) return value;
  const copy: Container = Array.isArray(value) ? [...value] : { ...value };
  draft.own.add(copy);
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
