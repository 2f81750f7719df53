/** The reducer of a memory: its workflow and who reads its history fold the same. */
import type { Json } from './execution.ts';
import { jsonBytes } from './json-size.ts';
import { applyPatch, PatchFlaw } from './json-patch.ts';
import type { PatchOperation } from './json-patch.ts';
import { writeSignal } from './memory-contract.ts';
import type { MemoryName, MemoryWrite } from './memory-contract.ts';

export interface MemoryEntry {
  data: Json;
  /** The one that wrote it. */
  rev: number;
  createdAt: string;
  updatedAt: string;
}

/** What has changed, with what was there before. */
export interface MemoryChange extends MemoryWrite {
  /** Counted from 1, in the order of history. */
  rev: number;
  /** Of a set: since when there is a value under the key. */
  createdAt?: string;
  previousData?: Json;
  /** Of it as JSON. */
  bytes: number;
}

export interface MemoryState extends MemoryName {
  /** Of the newest change; 0 before the first. */
  rev: number;
  /** A JSON document, an entry per key. It is replaced, never changed: readers keep what they have got. */
  document: Record<string, MemoryEntry>;
  /** Of the document as JSON. */
  bytes: number;
  /** The newest ones, the last one last. */
  changes: MemoryChange[];
}

/** What a write comes to. */
export type Written =
  | { kind: 'changed'; change: MemoryChange }
  /** There was nothing to delete. */
  | { kind: 'unchanged' }
  | { kind: 'refused'; why: 'full' | 'inapplicable'; message: string };

type Planned =
  | Exclude<Written, { kind: 'changed' }>
  | { kind: 'changed'; change: MemoryChange; document: Json; bytes: number };

export const MAX_KEY_CHARS = 512;
export const MAX_VALUE_BYTES = 256 * 1024;
export const MAX_MEMORY_BYTES = 1024 * 1024;
const MAX_CHANGES = 200;
/** Any one change fits; with the document, all of it fits into what Temporal takes as an input (2 MiB). */
const MAX_CHANGES_BYTES = 640 * 1024;

export function emptyMemory({ scope, scopeId }: MemoryName): MemoryState {
  return { scope, scopeId, rev: 0, document: {}, bytes: 0, changes: [] };
}

/** What a signal says. */
export function memoryWriteOf(signal: string, message: unknown): MemoryWrite | undefined {
  return signal === writeSignal.name ? (message as MemoryWrite) : undefined;
}

export function entryOf({ document }: MemoryState, key: string): MemoryEntry | undefined {
  return Object.hasOwn(document, key) ? document[key] : undefined;
}

/** What the write would come to; nothing is changed. */
export function planWrite(state: MemoryState, write: MemoryWrite): Planned {
  const { key, action, data = null } = write;
  // Clocks of API processes may differ: time does not go back within a memory.
  const last = state.changes.at(-1)?.at ?? '';
  const at = write.at > last ? write.at : last;
  const before = entryOf(state, key);
  if (action === 'delete' && !before) return { kind: 'unchanged' };
  const rev = state.rev + 1;
  const entry = action === 'set' ? { data, rev, createdAt: before?.createdAt ?? at, updatedAt: at } : undefined;
  const bytes = state.bytes + bytesOfEntry(key, entry) - bytesOfEntry(key, before);
  if (entry && bytes > MAX_MEMORY_BYTES)
    return { kind: 'refused', why: 'full', message: `the memory would be larger than ${MAX_MEMORY_BYTES} bytes` };
  const path = `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const operation: PatchOperation = entry ? { op: 'add', path, value: { ...entry } } : { op: 'remove', path };
  try {
    // Its size was checked, in bytes.
    const { document } = applyPatch({ document: state.document as unknown as Json, chars: 0 }, [operation], Infinity);
    const change = {
      ...write,
      at,
      rev,
      ...(entry && { createdAt: entry.createdAt }),
      ...(before && { previousData: before.data }),
    };
    return { kind: 'changed', document, bytes, change: { ...change, bytes: jsonBytes(change) } };
  } catch (err) {
    if (err instanceof PatchFlaw) return { kind: 'refused', why: 'inapplicable', message: err.message };
    throw err;
  }
}

/** Folds a write into the state, in place. One that is refused changes nothing. */
export function foldWrite(state: MemoryState, write: MemoryWrite): Written {
  const planned = planWrite(state, write);
  if (planned.kind !== 'changed') return planned;
  const { change, document, bytes } = planned;
  state.rev = change.rev;
  state.document = document as unknown as MemoryState['document'];
  state.bytes = bytes;
  state.changes = newest([...state.changes, change]);
  return { kind: 'changed', change };
}

function newest(changes: MemoryChange[]): MemoryChange[] {
  let bytes = changes.reduce((sum, change) => sum + change.bytes, 0);
  let first = Math.max(0, changes.length - MAX_CHANGES);
  for (const change of changes.slice(0, first)) bytes -= change.bytes;
  for (; bytes > MAX_CHANGES_BYTES && first < changes.length - 1; first++) bytes -= changes[first]?.bytes ?? 0;
  return changes.slice(first);
}

function bytesOfEntry(key: string, entry: MemoryEntry | undefined): number {
  return entry ? jsonBytes(key) + jsonBytes(entry) + 2 : 0;
}
