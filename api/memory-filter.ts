import type { z } from 'zod';
import { check } from './json-body.ts';
import { memoryEventsQuery, memoryHistoryQuery } from './memory-schemas.ts';
import type { MemoryEventFilter } from './memory-schemas.ts';

/** Some clients repeat `patterns`, others put commas between them. */
function filterIn<T extends z.ZodType>(schema: T, query: URLSearchParams): z.infer<T> {
  const patterns = query.getAll('patterns').join(',');
  return check(
    schema,
    { ...Object.fromEntries(query), ...(patterns !== '' && { patterns }) },
    { root: '', noun: 'parameter' },
  );
}

export function memoryFilterOf(query: URLSearchParams): MemoryEventFilter {
  return filterIn(memoryEventsQuery, query);
}

export function memoryHistoryOf(query: URLSearchParams): z.infer<typeof memoryHistoryQuery> {
  return filterIn(memoryHistoryQuery, query);
}
