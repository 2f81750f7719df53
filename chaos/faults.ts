/**
 * Every fault there is, by name. Those of the system happen at a planned time or at a named point; those of agents and
 * receivers belong to single executions.
 */
export const LINKS = [
  'client-api',
  'api-temporal',
  'worker-temporal',
  'worker-agent',
  'worker-receiver',
  'agent-api',
] as const;
export type Link = (typeof LINKS)[number];

export const LINK_MODES = ['cut', 'delay', 'blackhole'] as const;
export type LinkMode = (typeof LINK_MODES)[number];

/** Moments that the ledger sees, at which a process is killed. */
export const KILL_POINTS = {
  worker: [
    'agent-called',
    'agent-answered',
    'acknowledged',
    'acknowledged-long-ago',
    'webhook-arrived',
    'webhook-taken',
    'asked',
  ],
  api: ['submit-sent', 'submit-accepted', 'sync-wait', 'callback-sent', 'steered'],
  temporal: ['in-flight'],
} as const;
export type ProcessKind = keyof typeof KILL_POINTS;
export type KillPoint = (typeof KILL_POINTS)[ProcessKind][number];

export const PROCESS_KINDS = Object.keys(KILL_POINTS) as ProcessKind[];

export type SystemFault =
  | { type: 'kill'; process: ProcessKind; at: KillPoint | 'random' }
  | { type: 'stop'; process: ProcessKind }
  | { type: 'skew'; process: 'api' | 'worker' }
  | { type: 'disk-full' }
  | { type: 'link'; link: Link; mode: LinkMode };

const kills = PROCESS_KINDS.flatMap((process) =>
  [...KILL_POINTS[process], 'random' as const].map((at): SystemFault => ({ type: 'kill', process, at })),
);
const SYSTEM_FAULTS: SystemFault[] = [
  ...kills,
  ...PROCESS_KINDS.map((process): SystemFault => ({ type: 'stop', process })),
  { type: 'skew', process: 'api' },
  { type: 'skew', process: 'worker' },
  { type: 'disk-full' },
  ...LINK_MODES.flatMap((mode) => LINKS.map((link): SystemFault => ({ type: 'link', link, mode }))),
];

export function nameOf(fault: SystemFault): string {
  switch (fault.type) {
    case 'kill':
      return `kill-${fault.process}@${fault.at}`;
    case 'stop':
    case 'skew':
      return `${fault.type}-${fault.process}`;
    case 'disk-full':
      return 'disk-full';
    case 'link':
      return `${fault.mode}:${fault.link}`;
  }
}

/** What an agent does with an execution. The first ones are no faults: every run has them. */
export const AGENT_FAULTS = [
  'refuse',
  '500',
  '500-for-ever',
  '429',
  'crash',
  'broken-stream',
  'hang',
  'silent',
  'duplicate',
  'late',
  'conflict',
  'race',
  'ask-again',
  'ask-two',
] as const;
/** Those that end turns with a question, and go on when a client has answered it. */
const ASKING = ['ask', 'ask-in-stream', 'ask-later'] as const;
export const AGENT_BEHAVIOURS = ['answer', 'stream', 'accept', 'callback', ...ASKING, ...AGENT_FAULTS] as const;
export type AgentBehaviour = (typeof AGENT_BEHAVIOURS)[number];

export function isAsking(agent: AgentBehaviour): boolean {
  return agent.startsWith('ask');
}

/** The others ask in the answer to their call. */
export function isAskingByCallback(agent: AgentBehaviour): boolean {
  return agent === 'ask-later' || agent === 'ask-again';
}

/** What a receiver does with the first attempts of a webhook, before it takes it. `gone` and `down` never take it. */
export const RECEIVER_FAULTS = ['500', 'down', 'slow-loris', '302', '410', '429', 'huge', 'reset'] as const;
export type ReceiverBehaviour = 'take' | (typeof RECEIVER_FAULTS)[number];

export const FAULT_NAMES: readonly string[] = [
  ...SYSTEM_FAULTS.map(nameOf),
  ...AGENT_FAULTS.map((name) => `agent:${name}`),
  ...RECEIVER_FAULTS.map((name) => `receiver:${name}`),
];

/** The faults of a list such as `kill-worker,agent:429`: each word names all faults that begin with it. */
export function selectFaults(list: string | undefined): Set<string> {
  if (list === undefined) return new Set(FAULT_NAMES);
  const words = list.split(',').filter((word) => word !== '' && word !== 'none');
  const unknown = words.find((word) => !FAULT_NAMES.some((name) => name.startsWith(word)));
  if (unknown !== undefined) throw new Error(`no fault is named ${unknown}; there are: ${FAULT_NAMES.join(', ')}`);
  return new Set(
    FAULT_NAMES.filter((name) =>
      words.some((word) => name === word || (!FAULT_NAMES.includes(word) && name.startsWith(word))),
    ),
  );
}

export function systemFaultsOf(selected: ReadonlySet<string>): SystemFault[] {
  return SYSTEM_FAULTS.filter((fault) => selected.has(nameOf(fault)));
}
