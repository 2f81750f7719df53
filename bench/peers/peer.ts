import type { Pids } from '../cpu.ts';
import type { Part } from '../part.ts';

export type PeerName = 'restate' | 'dbos';

/** The same two durable steps in another system: POST to the agent, POST to the receiver. */
export interface PeerWork {
  id: string;
  /** Where the agent is called. */
  agentUrl: string;
  input: unknown;
  webhookUrl: string;
  /** The submit may come again, and is to count once. */
  mayRepeat?: boolean;
}

export interface Peer {
  name: PeerName;
  /** As it stands in tables. */
  title: string;
  pids: () => Pids;
  /** Resolves when both steps are done. */
  call: (work: PeerWork) => Promise<void>;
  /** Resolves when the work is accepted. */
  submit: (work: PeerWork) => Promise<void>;
  /** What may be killed, by the name it has in the report. */
  parts: Record<string, Part>;
  stop: () => Promise<void>;
}

export interface PeerSet {
  peers: Peer[];
  /** For the report: what they are, and which were left out and why. */
  notes: string[];
}
