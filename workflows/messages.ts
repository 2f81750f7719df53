/** What persons say to a working agent, and what became of it: the part of the reducer that keeps these receipts. */
import type { MessageStatus, SteerMessage } from './execution.ts';
import { jsonBytes } from './json-size.ts';

/** A message that the execution has taken, and how far it has come. */
export interface TrackedMessage {
  id: string;
  status: MessageStatus;
  /** Number of the log entry that took it. */
  sequence: number;
  /** There until the agent has dealt with it; the log has it for ever. */
  message?: SteerMessage;
  /** Of what was said, made by the API. */
  digest?: string;
  /** Why it was never taken. Its id may be used again. */
  refusal?: MessageRefusal;
}

/** `stale`: its sender has not seen the newest context. `full`: the agent has enough to deal with. */
export type MessageRefusal = 'stale' | 'full';

/** A word on what became of a message. `step` is the agent's own name for what it did. */
export interface Receipt {
  id: string;
  status: Exclude<MessageStatus, 'accepted'>;
  step?: string;
  reason?: string;
}

/** Not dealt with yet: what is more is refused, so that an execution stays small. */
export const MAX_OPEN_MESSAGES = 50;
/** Of all of them together, as JSON: they go to the agent in one request. */
export const MAX_OPEN_MESSAGE_BYTES = 256 * 1024;
/** Of those that are dealt with, how many are remembered. */
const MAX_CLOSED_MESSAGES = 100;

function isOpen({ status }: TrackedMessage): boolean {
  return status === 'accepted' || status === 'delivered';
}

export function openMessages(messages: TrackedMessage[] = []): TrackedMessage[] {
  return messages.filter(isOpen);
}

/** Whether the agent has as much to deal with as it may. */
export function isRoomFor(messages: TrackedMessage[] | undefined, message: SteerMessage): boolean {
  const open = openMessages(messages);
  const bytes = open.reduce((sum, one) => sum + jsonBytes(one.message), jsonBytes(message));
  return open.length < MAX_OPEN_MESSAGES && bytes <= MAX_OPEN_MESSAGE_BYTES;
}

/** The same messages after a receipt; undefined where it is no news. */
export function afterReceipt(messages: TrackedMessage[] = [], receipt: Receipt): TrackedMessage[] | undefined {
  const known = messages.find(({ id }) => id === receipt.id);
  if (!known || !isOpen(known) || known.status === receipt.status) return undefined;
  const { message, ...rest } = known;
  const isDelivered = receipt.status === 'delivered';
  const next = { ...rest, status: receipt.status, ...(isDelivered && message && { message }) };
  return bounded(messages.map((one) => (one === known ? next : one)));
}

export function bounded(messages: TrackedMessage[]): TrackedMessage[] {
  const excess = messages.length - openMessages(messages).length - MAX_CLOSED_MESSAGES;
  if (excess <= 0) return messages;
  const dropped = new Set(messages.filter((message) => !isOpen(message)).slice(0, excess));
  return messages.filter((message) => !dropped.has(message));
}
