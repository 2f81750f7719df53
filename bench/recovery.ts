import { quantile } from './statistics.ts';

/** What was seen of one execution; times are of `performance.now()`. */
export interface Seen {
  behaviour: string;
  sentAt: number;
  /** When it was first told; undefined if never. */
  endedAt: number | undefined;
  agentCalls: number;
  webhooks: number;
}

export interface Recovered {
  behaviour: string;
  /** From the kill to the end; undefined if it was not in flight then, or never ended. */
  recoverMs: number | undefined;
  wasInFlight: boolean;
  isLost: boolean;
  agentCalledAgain: boolean;
  toldAgain: boolean;
}

export function outcomeOf({ behaviour, sentAt, endedAt, agentCalls, webhooks }: Seen, killedAt: number): Recovered {
  const wasInFlight = sentAt < killedAt && (endedAt === undefined || endedAt > killedAt);
  return {
    behaviour,
    wasInFlight,
    recoverMs: wasInFlight && endedAt !== undefined ? endedAt - killedAt : undefined,
    isLost: endedAt === undefined,
    agentCalledAgain: agentCalls > 1,
    toldAgain: webhooks > 1,
  };
}

export function summarize(executions: readonly Recovered[]) {
  const count = (is: (each: Recovered) => boolean) => executions.filter(is).length;
  const times = executions.map(({ recoverMs }) => recoverMs).filter((ms) => ms !== undefined);
  return {
    inFlight: count(({ wasInFlight }) => wasInFlight),
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    calledAgain: count(({ agentCalledAgain }) => agentCalledAgain),
    toldAgain: count(({ toldAgain }) => toldAgain),
    lost: count(({ isLost }) => isLost),
  };
}
