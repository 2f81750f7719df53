import type { Answer, JsonObject, SteerMessage } from '../workflows/execution.ts';

/** What persons say, as agents and clients get it. */

export function messageView({ id, text, data, interrupt, ifRev, from }: SteerMessage) {
  return {
    id,
    ...(text !== undefined && { text }),
    ...(data !== undefined && { data }),
    interrupt: interrupt ?? false,
    ...(ifRev !== undefined && { if_rev: ifRev }),
    ...(from !== undefined && { from }),
  } satisfies JsonObject;
}

export function answerView({ decision, data, by, reason, isDefault }: Answer) {
  return {
    ...(decision !== undefined && { decision }),
    ...(data !== undefined && { data }),
    ...(by !== undefined && { by }),
    ...(reason !== undefined && { reason }),
    is_default: isDefault ?? false,
  } satisfies JsonObject;
}
