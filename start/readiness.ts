import { StartError } from './arguments.ts';
import type { Child } from './child.ts';

const DEADLINE_MS = 60_000;
const POLL_MS = 200;
const PROGRESS_MS = 10_000;
/** With the restarts between them about four seconds: a slow neighbour has come up by then. */
const MAX_DEATHS = 4;

/** Waits until all children answer. Throws if one that is needed does not; an optional one is left to its restarts. */
export async function untilReady(
  children: readonly Child[],
  say: (line: string) => void,
  aborted: () => boolean,
): Promise<void> {
  const startedAt = Date.now();
  let nextProgress = startedAt + PROGRESS_MS;
  // The worker serves no port; that it polls is part of the API's readiness.
  const pending = new Map(children.filter(({ healthUrl }) => healthUrl !== undefined).map((child) => [child, '']));
  while (pending.size > 0 && !aborted()) {
    await Promise.all([...pending.keys()].map((child) => check(child, pending)));
    if (pending.size === 0) return;
    const needed = [...pending.keys()].filter((child) => !child.optional);
    const isLate = Date.now() - startedAt > DEADLINE_MS;
    const dying = children.find((child) => !child.optional && child.deaths() >= MAX_DEATHS);
    if (dying) throw new StartError(`${dying.name} died ${MAX_DEATHS} times; the end of its log:\n${logOf(dying)}`);
    const [late] = isLate ? needed : [];
    if (late) throw new StartError(`${late.name} ${pending.get(late)}; the end of its log:\n${logOf(late)}`);
    if (isLate || (needed.length === 0 && [...pending.keys()].every((child) => child.deaths() >= MAX_DEATHS))) {
      for (const child of pending.keys()) say(`going on without ${child.name}, which does not come up`);
      return;
    }
    if (Date.now() > nextProgress) {
      nextProgress += PROGRESS_MS;
      say(`still waiting: ${[...pending].map(([child, state]) => `${child.name} ${state}`).join(', ')}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function check(child: Child, pending: Map<Child, string>): Promise<void> {
  if (child.healthUrl === undefined) return;
  try {
    const response = await fetch(child.healthUrl, { signal: AbortSignal.timeout(3000) });
    await response.body?.cancel();
    if (response.ok) pending.delete(child);
    else pending.set(child, `answers ${response.status} to ${new URL(child.healthUrl).pathname}`);
  } catch {
    pending.set(child, 'does not answer');
  }
}

function logOf(child: Child): string {
  return child
    .lastLines()
    .map((line) => `  ${line}`)
    .join('\n');
}
