import type { ExecutionStatus } from '../workflows/execution.ts';
import type { RunMember, RunSummary } from '../workflows/run-contract.ts';

/** Where an execution stands in the tree of its run. */
export interface TreePlace extends RunMember {
  /** 0 for a root: one without a parent, or whose parent is not of this run. */
  depth: number;
  /** Its parents led round to itself; of all in that circle it joined first, and so it counts as a root. */
  breaksCycle: boolean;
}

/**
 * The places of a run's members, in their order. Clients name parents as they like: what is no execution of the run
 * makes a root of who names it, and circles are broken.
 */
export function placesOf(members: readonly RunMember[]): TreePlace[] {
  const orderOf = new Map(members.map(({ executionId }, i) => [executionId, i]));
  const parents = members.map(({ parentExecutionId = '' }) => orderOf.get(parentExecutionId));
  const cuts = cutsOf(parents);
  const parentOf = (i: number) => (cuts.has(i) ? undefined : parents[i]);
  const depths: (number | undefined)[] = [];
  for (const start of members.keys()) {
    // Without recursion: a chain may be as long as the run.
    const path: number[] = [];
    let at: number | undefined = start;
    while (at !== undefined && depths[at] === undefined) {
      path.push(at);
      at = parentOf(at);
    }
    let depth = at === undefined ? -1 : (depths[at] ?? 0);
    for (const i of path.toReversed()) depths[i] = depth += 1;
  }
  return members.map((member, i) => ({ ...member, depth: depths[i] ?? 0, breaksCycle: cuts.has(i) }));
}

/** What a run has come to. It is as good as its roots: who calls a child may get over its failure. */
export function endOfRun(ends: { depth: number; status: ExecutionStatus }[]): RunSummary['status'] {
  const roots = ends.filter(({ depth }) => depth === 0);
  if (roots.every(({ status }) => status === 'succeeded')) return 'succeeded';
  return roots.some(({ status }) => status === 'cancelled') ? 'cancelled' : 'failed';
}

/** In each circle the one that joined first. */
function cutsOf(parents: readonly (number | undefined)[]): Set<number> {
  const cuts = new Set<number>();
  const walkOf: (number | undefined)[] = [];
  for (const start of parents.keys()) {
    let at: number | undefined = start;
    while (at !== undefined && walkOf[at] === undefined) {
      walkOf[at] = start;
      at = parents[at];
    }
    if (at === undefined || walkOf[at] !== start) continue;
    let first = at;
    for (let next = parents[at]; next !== undefined && next !== at; next = parents[next]) first = Math.min(first, next);
    cuts.add(first);
  }
  return cuts;
}
