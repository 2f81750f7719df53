/**
 * How far each execution of a run was sent, in one short text: what a client gives back to go on, at whichever process.
 * It reads `prefix.number.prefix.number…`, an execution's id without `exec_` shortened as far as the ids stay apart.
 */
export type RunCursor = { prefix: string; sequence: number }[];

/** Longest cursor that is read. One of ours has 20 characters for each of at most 200 executions. */
export const MAX_CURSOR_CHARS = 8 * 1024 - 1;
/** Of a client that has nothing. */
const START = '0';
const CURSOR = /^[\w-]{8,64}\.\d{1,9}(\.[\w-]{8,64}\.\d{1,9})*$/;

const SHARED = 'exec_';
/** No prefix is shorter, so that hardly ever an execution that joins later begins with one that is out already. */
const MIN_PREFIX = 8;

/** @returns undefined where it is no cursor */
export function parseRunCursor(text: string): RunCursor | undefined {
  if (text === START) return [];
  if (text.length > MAX_CURSOR_CHARS || !CURSOR.test(text)) return undefined;
  const parts = text.split('.');
  return parts.flatMap((prefix, i) => (i % 2 === 0 ? [{ prefix, sequence: Number(parts[i + 1]) }] : []));
}

/**
 * The number of the last entry that was sent of each execution.
 * @param executionIds all of the run, in the order in which they were started
 * @returns undefined where the cursor names another one, or one twice
 */
export function sentOf(cursor: RunCursor, executionIds: readonly string[]): Map<string, number> | undefined {
  const sent = new Map<string, number>();
  for (const { prefix, sequence } of cursor) {
    // Of two that begin alike it means the first: the other was not there, or it would have told them apart.
    const executionId = executionIds.find((id) => id.startsWith(SHARED + prefix));
    if (executionId === undefined || sent.has(executionId)) return undefined;
    sent.set(executionId, sequence);
  }
  return sent;
}

/** Where a reader of a run is. */
export interface RunPosition {
  advance: (executionId: string, sequence: number) => void;
  cursor: () => string;
}

export function createRunPosition(sent: ReadonlyMap<string, number>): RunPosition {
  const sequences = new Map(sent);
  let prefixes = prefixesOf([...sequences.keys()]);
  return {
    advance: (executionId, sequence) => {
      const hasJoined = !sequences.has(executionId);
      sequences.set(executionId, sequence);
      if (hasJoined) prefixes = prefixesOf([...sequences.keys()]);
    },
    cursor: () => prefixes.map(([id, prefix]) => `${prefix}.${sequences.get(id)}`).join('.') || START,
  };
}

/** Sorted, so that the same position has the same cursor everywhere. */
function prefixesOf(executionIds: string[]): [executionId: string, prefix: string][] {
  const sorted = executionIds.toSorted();
  return sorted.map((id, i) => {
    const shared = Math.max(sharedLength(id, sorted[i - 1]), sharedLength(id, sorted[i + 1]));
    return [id, id.slice(SHARED.length, Math.max(shared + 1, SHARED.length + MIN_PREFIX))];
  });
}

function sharedLength(id: string, neighbour = ''): number {
  let length = 0;
  while (length < id.length && id[length] === neighbour[length]) length += 1;
  return length;
}
