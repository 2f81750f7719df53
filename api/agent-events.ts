import { readReport } from '../common/reports.ts';
import type { AgentReport, JsonObject } from '../workflows/execution.ts';
import { OWN_KINDS } from './event-view.ts';
import { check, invalid } from './json-body.ts';
import { agentEvent, agentEventList } from './steering-schemas.ts';

/** Names that an event may not have: those of our own entries, and those of an agent's last word in a stream. */
const RESERVED = new Set<string>([...OWN_KINDS, 'result', 'error']);

/** The events of a callback, one or a list. Throws `invalid_request` with the path of each flaw. */
export function readAgentEvents(body: unknown): AgentReport[] {
  const isList = typeof body === 'object' && body !== null && 'events' in body;
  const place = { root: '$', noun: 'field' };
  const events = isList ? check(agentEventList, body, place).events : [check(agentEvent, body, place)];
  const flaws: { path: string; message: string }[] = [];
  const reports = events.map(({ id, ...fields }, i) => {
    const path = isList ? `$.events[${i}]` : '$';
    const { report, flaw } = readReport(fields.type, fields as JsonObject);
    if (RESERVED.has(fields.type)) flaws.push({ path: `${path}.type`, message: 'is a name of Perdure itself' });
    else if (flaw) flaws.push({ path: path + flaw.path, message: flaw.message });
    return { ...report, ...(id !== undefined && { id }) };
  });
  if (flaws.length > 0) throw invalid(flaws);
  return reports;
}
