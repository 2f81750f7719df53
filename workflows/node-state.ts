/** The reducer of an agent node: its workflow and who reads its history fold the same. */
import type { JsonObject } from './execution.ts';
import type { NodeFunction, PhaseChange, ProbeResult, Registration } from './node-contract.ts';
import { phaseSignal, registerSignal } from './node-contract.ts';

/** `lost`: nobody listens there any more. */
export const INSTANCE_STATUSES = ['starting', 'live', 'draining', 'lost'] as const;
export type InstanceStatus = (typeof INSTANCE_STATUSES)[number];

export interface NodeInstance {
  instanceId: string;
  baseUrl: string;
  version?: string;
  status: InstanceStatus;
  /** ISO 8601; the first time, and the last. */
  registeredAt: string;
  renewedAt: string;
  leaseMs: number;
  registrations: number;
}

export interface NodeState {
  node: string;
  /** What it serves, as the newest registration has it. */
  reasoners: NodeFunction[];
  skills: NodeFunction[];
  isUnchecked?: true;
  maxConcurrent?: number;
  details?: JsonObject;
  /** The one that registered, or was lost, last comes last. */
  instances: NodeInstance[];
}

export type NodeEntry =
  | { kind: 'register'; registration: Registration }
  | { kind: 'phase'; change: PhaseChange }
  | { kind: 'probed'; result: ProbeResult };

/** Of those that are lost: as many as can be lost at the same moment, for each has to be told of first. */
const MAX_LOST = 100;

export function emptyNode(node: string): NodeState {
  return { node, reasoners: [], skills: [], instances: [] };
}

/** What a signal says. */
export function nodeEntryOf(signal: string, message: unknown): NodeEntry | undefined {
  switch (signal) {
    case registerSignal.name:
      return { kind: 'register', registration: message as Registration };
    case phaseSignal.name:
      return { kind: 'phase', change: message as PhaseChange };
    default:
      return undefined;
  }
}

/** Folds one entry into the state, in place. */
export function foldNode(state: NodeState, entry: NodeEntry): void {
  switch (entry.kind) {
    case 'register':
      return applyRegistration(state, entry.registration);
    case 'phase': {
      const instance = instanceOf(state, entry.change.instanceId);
      if (!instance) return;
      const { phase } = entry.change;
      if (phase === 'offline') return lose(state, instance);
      instance.status = phase === 'ready' ? 'live' : phase;
      return;
    }
    case 'probed': {
      const { instanceId, registrations, isAlive } = entry.result;
      const instance = instanceOf(state, instanceId);
      if (isAlive || instance?.registrations !== registrations) return;
      return lose(state, instance);
    }
  }
}

export function instanceOf(state: NodeState, instanceId: string): NodeInstance | undefined {
  return state.instances.find((one) => one.instanceId === instanceId);
}

/** It may have calls in hand. */
export function isThere({ status }: NodeInstance): boolean {
  return status !== 'lost';
}

/** It takes calls. */
export function isLive({ status }: NodeInstance): boolean {
  return status === 'live';
}

function applyRegistration(state: NodeState, registration: Registration): void {
  const { instanceId, baseUrl, version, reasoners, skills, leaseMs, at, details, isUnchecked, maxConcurrent } =
    registration;
  const known = instanceOf(state, instanceId);
  // Another process at the same address has taken the place of the one before.
  for (const other of state.instances)
    if (other !== known && other.baseUrl === baseUrl && isThere(other)) lose(state, other);
  const instance: NodeInstance = {
    instanceId,
    baseUrl,
    ...(version !== undefined && { version }),
    status: 'live',
    registeredAt: known?.registeredAt ?? at,
    renewedAt: at,
    leaseMs,
    registrations: (known?.registrations ?? 0) + 1,
  };
  state.instances = [...state.instances.filter((one) => one !== known), instance];
  state.reasoners = reasoners;
  state.skills = skills;
  if (details === undefined) delete state.details;
  else state.details = details;
  if (maxConcurrent === undefined) delete state.maxConcurrent;
  else state.maxConcurrent = maxConcurrent;
  if (isUnchecked) state.isUnchecked = true;
  else delete state.isUnchecked;
}

/** The one that was lost last comes last: of too many the others are forgotten. */
function lose(state: NodeState, instance: NodeInstance): void {
  instance.status = 'lost';
  state.instances = [...state.instances.filter((one) => one !== instance), instance];
  const lost = state.instances.filter((one) => !isThere(one));
  const dropped = new Set(lost.slice(0, Math.max(0, lost.length - MAX_LOST)));
  if (dropped.size > 0) state.instances = state.instances.filter((one) => !dropped.has(one));
}
