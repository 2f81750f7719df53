/** The part of the reducer that folds in what agents say while they work. */
import type { AgentReport, JsonObject, StepKind } from './execution.ts';
import { applyPatch, PatchFlaw } from './json-patch.ts';
import type { PatchedDocument, PatchOperation } from './json-patch.ts';
import type { Receipt } from './messages.ts';
import type { ExecutionState, LogEntry, Numbering } from './state.ts';
import { applyReceipt } from './steering.ts';

/** How many event ids of an agent's are remembered. */
const MAX_EVENT_IDS = 2000;

/** Whether the agent has said that before; remembers it. */
export function isKnown(state: ExecutionState, { id }: AgentReport): boolean {
  if (id === undefined) return false;
  const ids = (state.eventIds ??= []);
  if (ids.includes(id)) return true;
  ids.push(id);
  if (ids.length > MAX_EVENT_IDS) ids.shift();
  return false;
}

export function applyReport(state: ExecutionState, report: AgentReport, number: Numbering): void {
  if (report.type !== 'progress') return applyOther(state, report, number);
  number({ kind: 'report', report });
  // An agent that has ended its turn, or is held, does not decide on that any more.
  if (report.status !== undefined && !state.paused && !state.waiting) state.status = report.status;
  if (report.currentAction !== undefined) state.currentAction = report.currentAction;
  if (report.progressPct !== undefined) state.progressPct = report.progressPct;
  if (report.estimatedCompletion !== undefined) state.estimatedCompletion = report.estimatedCompletion;
}

type OtherReport = Extract<AgentReport, { type: 'other' }>;

function applyOther(state: ExecutionState, report: OtherReport, number: Numbering): void {
  const { name, data } = report;
  switch (name) {
    case 'context.patch':
      return number(patchContext(state, report));
    case 'steer.delivered':
    case 'steer.applied':
    case 'steer.rejected':
    case 'steer.superseded':
      return applyReceipt(state, receiptOf(name, data), number);
  }
  number({ kind: 'report', report });
  switch (name) {
    case 'step': {
      const { kind, name: step, summary } = data as { kind: StepKind; name?: string; summary?: string };
      state.lastStep = {
        sequence: state.sequence,
        kind,
        ...(step !== undefined && { name: step }),
        ...(summary !== undefined && { summary }),
      };
      return;
    }
    case 'usage': {
      const { input_tokens = 0, output_tokens = 0, cost_usd = 0 } = data as Record<string, number>;
      const { inputTokens, outputTokens, costUsd } = state.usage ?? { inputTokens: 0, outputTokens: 0, costUsd: 0 };
      state.usage = {
        inputTokens: inputTokens + input_tokens,
        outputTokens: outputTokens + output_tokens,
        costUsd: costUsd + cost_usd,
      };
      return;
    }
    case 'checkpoint':
      if (report.endsTurn) state.nextCheckpoint = data['data'] ?? null;
      else state.checkpoint = data['data'] ?? null;
      return;
    case 'partial_result':
      state.partialResult = data['data'] ?? null;
  }
}

/** Patches the agent's context, or says why not. `rev` is the revision that a patch makes. */
function patchContext(state: ExecutionState, report: OtherReport): LogEntry {
  const { patch, rev: wanted } = report.data as unknown as { patch: PatchOperation[]; rev?: number };
  const { rev, ...before } = state.context ?? EMPTY_CONTEXT;
  const rejected = (why: JsonObject): LogEntry => ({
    kind: 'context-rejected',
    data: { ...report.data, rev, ...why },
  });
  if (wanted !== undefined && wanted !== rev + 1) return rejected({ reason: `the context is at revision ${rev}` });
  try {
    state.context = { ...applyPatch(before, patch), rev: rev + 1 };
  } catch (err) {
    if (!(err instanceof PatchFlaw)) throw err;
    return rejected({ reason: err.message, operation: err.operation });
  }
  return { kind: 'report', report: { ...report, data: { ...report.data, rev: rev + 1 } } };
}

export const EMPTY_CONTEXT: PatchedDocument & { rev: number } = { rev: 0, document: {}, chars: 2 };

function receiptOf(name: `steer.${Receipt['status']}`, data: JsonObject): Receipt {
  const { message_id: id, step, reason } = data as { message_id: string; step?: string; reason?: string };
  return {
    id,
    status: name.slice('steer.'.length) as Receipt['status'],
    ...(step !== undefined && { step }),
    ...(reason !== undefined && { reason }),
  };
}
