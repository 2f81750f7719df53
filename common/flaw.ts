import type { z } from 'zod';

/** What is wrong, and where: a path that begins with a dot, or nothing. */
export interface Flaw {
  path: string;
  message: string;
}

/** The first thing that a schema has to say against a value. */
export function firstFlaw({ issues: [issue] }: z.ZodError): Flaw {
  const path = (issue?.path ?? []).map((part) => `.${String(part)}`).join('');
  return { path, message: issue?.message ?? 'cannot be read' };
}
