import { DEADLINE_MS, FAULTS, inRealTime, OBSERVED_MS, POLICY, TASK_MS } from './settings.ts';

/** The fixed parts of the report: how it was measured, and what it does not say. */

const percent = (probability: number) => `${100 * probability} %`;

export function methodOf(): string {
  return `## Method

One process is agent, webhook receiver and client, with one clock. Each pattern's service runs in processes of its own,
is deployed afresh for each level, and is warmed up by executions that do not count. Executions are submitted at even
distances, whatever the service does (an open loop).

- **The task** takes the agent ${inRealTime(TASK_MS)}. The orchestrator waits for it in one synchronous HTTP call. The agent answers with a
  digest that only it can know.
- **P1** answers 202, keeps the work in its process, calls the agent once and posts the result once. **P1r** makes up to
  ${POLICY.attempts} calls (after 5xx and broken connections; pauses from ${inRealTime(POLICY.agentRetryMs)}, doubling) and up to ${POLICY.attempts} posts (pauses from
  ${inRealTime(POLICY.webhookRetryMs)}, doubling). **P3** calls the agent as P1r does and serves the outcome as a stream of server-sent events, with a comment
  every ${inRealTime(POLICY.sseHeartbeatMs)} against idle limits, and as a status to poll. **P3d** is P3 with a row per execution in SQLite (\`libsql\`, WAL,
  every write on disk before it returns); after a start it does again what it finds unfinished. **P4** is Perdure as it
  is: API, worker and a Temporal dev server, with the same attempts and pauses.
- **The client** repeats a submit without 202 every ${inRealTime(POLICY.submitRetryMs)} for up to ${inRealTime(POLICY.submitPatienceMs)}, under one \`Idempotency-Key\`, which all
  services honour. For P1 and P1r it waits for the webhook; these services offer nothing else. For P3 and P3d it reads
  the stream; when that breaks it polls once and connects again after ${inRealTime(POLICY.reconnectMs)}. For P4 it waits for the webhook, and
  polls every ${inRealTime(POLICY.pollEveryMs)} from ${inRealTime(POLICY.pollAfterMs)} after the submit.
- **Faults at rate 1**, drawn from the seed before the load starts and the same for every pattern; rates and probabilities
  are multiplied by the level, spans are not. \`kill -9\` of every process of the orchestrator every ${inRealTime(FAULTS.killEveryMs)} (the one
  process of P1 to P3d; API, worker and Temporal server of P4, each at that rate), restarted by a supervisor after
  ${inRealTime(FAULTS.restartAfterMs)}. The receiving side is away for ${inRealTime(FAULTS.outageMs)} every ${inRealTime(FAULTS.outageEveryMs)}: webhooks get 503, streams break, nothing is
  polled. Each connection between client and service breaks once in ${inRealTime(FAULTS.cutEveryMs)} and is cut when idle for ${inRealTime(FAULTS.idleLimitMs)}.
  A call of the agent gets a 500 (${percent(FAULTS.agentErrorProbability)}) or loses its connection halfway (${percent(FAULTS.agentCrashProbability)}). On some executions the
  agent hangs (${percent(FAULTS.agentHangProbability)}): after ${inRealTime(POLICY.agentTimeoutMs)} every pattern gives up, and \`timeout\` is then the right outcome.
- **Kills and outages** are Poisson processes under the condition that they have their expected number of events, at least
  one, so that a run of minutes has the rate it claims. They fall where the load is in full flow. A kill of a process that
  is still starting waits until it serves.
- **Success**: the client knows the right outcome, by the pattern's own channel, within ${inRealTime(DEADLINE_MS)} of the moment the
  execution was due. **Lost**: accepted, and never told within ${inRealTime(OBSERVED_MS)}. **Wrong**: told something else than what
  the agent did, such as a failure where another call would have brought the answer. **Stuck**: still unfinished then. **Late**: told after the deadline.
  **Refused**: never accepted. **Duplicate calls**: calls of the agent beyond the first that no failure of the agent
  explains. Intervals are Clopper-Pearson, 95 %.
- **Void** (exit code 3) is a run in which submitted executions do not add up to these, a planned fault did not happen or
  hit nothing in flight, an execution failed without faults, or others took more than 20 % of
  the machine. "In flight" is what was accepted and not yet known to its client.`;
}

export const LIMITS = `## Limits

- **Some spans are not compressed.** The seconds until a process is back ("back after") are minutes in real time, most of all
  for Perdure's worker, which bundles its workflows when it starts; where the patterns run side by side (all levels but
  none and light) they also start at the same moments. Temporal's sticky task queue holds the tasks of a dead worker for up
  to 10 s. Perdure's heartbeat limit is ${POLICY.perdureHeartbeatTimeoutMs / 1000} s here, as it has to be longer than a restart of the server. Rates above heavy
  would measure little but these. A run at a lower factor would weigh them less; how much, is not measured.
- **Some spans are compressed that in life are not short.** The idle limit cuts, and clients give up, requests that a busy
  server would answer in a second.
- **The fault rates are chosen**, and high: processes that die every two hours are a bad day. What is rarer cannot be seen
  in 20 minutes. The curve is the result, not a point of it.
- **Executions that are in flight at one fault fail together.** The intervals take them for independent and are too narrow
  for patterns that lose work; there are only a few kills per level. Another seed moves those figures by more.
- No failure in N executions shows, by this interval, a success rate above 1 - 3.7/N: 99.57 % for N = 864. To show 99.98 %
  takes 18,443 executions without a failure (14,978 by a one-sided bound).
- **P3d is safe here because it has one process and one disk that survives.** Two replicas would each do the other's
  unfinished work; a poison execution would be done again at every start. Leases, attempts that are counted across
  restarts, cancel, and a history for operators are what an orchestrator adds, and this comparison does not measure them.
- The client never submits again what it was told is gone or has failed. With that, P1 to P3 would get more done, at the price of
  agent calls and of clients that hold state.
- One agent call is one synchronous request. An agent that answers 202 and calls back survives a crash of Perdure's worker
  without a second call. That case is not measured here.
- One Temporal dev server on SQLite, one API, one worker: no replica takes over while another restarts.
- All runs on one machine: no latency of a network is in the overheads. P1 to P3d have no authentication, no signatures,
  no log; Perdure signs, logs and keeps a history.`;
