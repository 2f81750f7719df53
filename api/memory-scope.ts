import type { Context } from 'hono';
import { MEMORY_SCOPES } from '../workflows/memory-contract.ts';
import type { MemoryName, MemoryScope } from '../workflows/memory-contract.ts';
import { ApiError } from './errors.ts';
import { identifier } from './request-headers.ts';

const GLOBAL = 'global';

/** What a request says of the memory that it means. */
interface Asked {
  scope?: MemoryScope | null | undefined;
  scope_id?: string | null | undefined;
}

/** The memories that a request has access to by its headers, from the narrowest to the widest. */
export function memoriesInReach(c: Context): MemoryName[] {
  const ids: Record<MemoryScope, string | undefined> = {
    workflow: identifier(c, 'X-Workflow-ID') ?? identifier(c, 'X-Run-ID'),
    session: identifier(c, 'X-Session-ID'),
    actor: identifier(c, 'X-Actor-ID'),
    global: GLOBAL,
  };
  return MEMORY_SCOPES.flatMap((scope) => {
    const scopeId = ids[scope];
    return scopeId === undefined ? [] : [{ scope, scopeId }];
  });
}

/** The one memory that is meant: that of the scope which is named, else the narrowest in reach. */
export function memoryMeant(c: Context, { scope, scope_id }: Asked): MemoryName {
  if (scope === GLOBAL) return { scope, scopeId: GLOBAL };
  if (scope && scope_id) return { scope, scopeId: scope_id };
  const inReach = memoriesInReach(c);
  const meant = inReach.find((name) => !scope || name.scope === scope);
  if (meant) return meant;
  const header = { workflow: 'X-Workflow-ID or X-Run-ID', session: 'X-Session-ID', actor: 'X-Actor-ID' } as const;
  throw new ApiError('invalid_header', `the scope '${scope}' needs ${header[scope ?? 'workflow']}`);
}
