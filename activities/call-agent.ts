import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure, CancelledFailure, Context, log } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/client';
import { pickInstance } from '../common/agent-nodes.ts';
import { agentReportSignal } from '../workflows/contract.ts';
import type {
  Activities,
  AgentAnswer,
  AgentCall,
  CallDeclined,
  CallHandedBack,
  CallInFlight,
  FirstAgentCall,
} from '../workflows/contract.ts';
import type { AgentFailure, AgentReport, Json, Target } from '../workflows/execution.ts';
import { readAnswer } from './agent-answer.ts';
import type { ReadAnswer } from './agent-answer.ts';
import { agentFailures } from './agent-failure.ts';
import { sendAgentRequest } from './agent-request.ts';
import type { AgentRequestDeps } from './agent-request.ts';
import { startHeartbeat } from './heartbeat.ts';
import type { HeldCalls, OpenCall } from './held-calls.ts';
import { createPace } from './pace.ts';
import { signalsSinceScheduled } from './recorded-signals.ts';
import { createRecentSet } from './recent-set.ts';
import { createReportBatcher, maxReportedBytes } from './report-batcher.ts';

/** Why Temporal cancels an activity whose limit has passed. */
const TIMED_OUT = 'TIMED_OUT';
const INSIST_MS = 2_000;
/** How long an instance that could not be reached is called only if there is no other. */
const AVOID_MS = 10_000;
/** An activity that is taken up at once is not older than this. */
const WAITED_MS = 1_000;

export interface CallAgentDeps extends Omit<AgentRequestDeps, 'unreachable'> {
  maxResultBytes: number;
  /** Calls in flight between `beginAgentCall` and the end of `followAgentCall`. */
  held: HeldCalls;
  /** The task queue that only this worker polls. */
  ownTaskQueue: string;
}

/** The activities that call agents. What was begun in a workflow task and takes long is held here until followed. */
export function createCallAgent(
  deps: CallAgentDeps,
): Pick<Activities, 'callAgent' | 'beginAgentCall' | 'followAgentCall'> {
  const { held } = deps;
  const pace = createPace();
  const unreachable = createRecentSet(AVOID_MS);

  function open(call: AgentCall, attempt: number): OpenCall {
    const { response, instance, abort, end, toFailure } = sendAgentRequest({ ...deps, unreachable }, call, attempt);
    const read = async (): Promise<ReadAnswer> => {
      try {
        const answer = await readAnswer(await response, deps.maxResultBytes);
        if (answer.kind !== 'stream') end();
        const { holder } = instance() ?? {};
        // Of an agent that is written down there is nothing to tell: its histories stay as they were.
        return answer.kind === 'accepted' && holder ? { ...answer, holder, attempts: attempt } : answer;
      } catch (err) {
        end();
        throw toFailure(err);
      }
    };
    return { attempt, answer: read(), abort, end, toFailure };
  }

  /** The node has registered, and nobody serves it at the moment. */
  async function isUnserved({ node }: Target): Promise<boolean> {
    const known = await deps.agentNodes.find(node);
    return known !== undefined && pickInstance(known, new Set()) === undefined;
  }

  async function callAgent(call: AgentCall): Promise<AgentAnswer> {
    const { executionId, attemptsBefore = 0, mayBeHeld, mustBeHeld } = call;
    const { attempt } = Context.current().info;
    const known = mayBeHeld && attempt === 1 ? held.take(executionId) : undefined;
    if (known) return followToEnd(executionId, known);
    if (mustBeHeld) throw agentFailures.workerDied();
    const number = attemptsBefore + attempt;
    const recorded = number > 1 || hasWaited() ? await signalsSinceScheduled(Context.current(), call) : undefined;
    // An agent whose word is recorded is not called again, also where the workflow has not heard it yet.
    if (recorded?.isCalledBack) return { kind: 'accepted' };
    if (recorded?.isHeld) return { kind: 'handed-back', attempts: number - 1 };
    if (await isUnserved(call.target)) return { kind: 'handed-back', attempts: number - 1, isUnserved: true };
    try {
      return await finish(open(goingOn(call, recorded?.checkpoint), number));
    } catch (err) {
      const handedBack = handBack(err, number, call.retryUntil);
      if (handedBack) return handedBack;
      throw err;
    }
  }

  async function beginAgentCall(call: FirstAgentCall): Promise<AgentAnswer | CallInFlight | CallDeclined> {
    const { executionId, target } = call;
    if (call.isDoneOver) return { kind: 'declined', mayHaveBeenMade: true };
    const known = held.get(executionId);
    const isTooLate = Date.now() > Date.parse(call.taskEndsAt);
    if (!known && (held.isFull() || isTooLate || (await isUnserved(target))))
      return { kind: 'declined', mayHaveBeenMade: false };
    const opened = known ?? hold(call);
    const answer = await within(pace.patienceFor(target, call.patienceMs), opened).catch((err: unknown) => {
      // The execution's own time is over: the call will not be asked for again.
      if (err instanceof CancelledFailure && err.message === TIMED_OUT) held.end(executionId);
      throw err;
    });
    if (answer && answer.kind !== 'stream') return answer;
    pace.noteSlow(target);
    held.handOver(executionId);
    return { kind: 'in-flight', taskQueue: deps.ownTaskQueue };
  }

  function hold(call: FirstAgentCall): OpenCall {
    const opened = open(call, 1);
    held.add(call.executionId, opened);
    pace.measure(call.target, opened.answer);
    return opened;
  }

  async function followAgentCall({ executionId }: AgentCall): Promise<AgentAnswer> {
    const opened = held.take(executionId);
    if (!opened) throw agentFailures.lost();
    return followToEnd(executionId, opened);
  }

  async function followToEnd(executionId: string, opened: OpenCall): Promise<AgentAnswer> {
    try {
      return await finish(opened);
    } finally {
      held.remove(executionId);
    }
  }

  return { callAgent, beginAgentCall, followAgentCall };
}

/** The call with what the agent had put by in the one before. */
function goingOn(call: AgentCall, checkpoint: Json | undefined): AgentCall {
  if (checkpoint === undefined) return call;
  const { turn, answer, messages } = call.continuation ?? { turn: 1, messages: [] };
  return { ...call, continuation: { turn, checkpoint, ...(answer && { answer }), messages } };
}

/** Whether there was no slot for this activity for a while, in which the execution may have been paused. */
function hasWaited(): boolean {
  return Date.now() - Context.current().info.currentAttemptScheduledTimestampMs > WAITED_MS;
}

/** A failure after which the agent would be called again too late: the workflow knows whether it really is. */
function handBack(err: unknown, attempts: number, retryUntil: string | undefined): CallHandedBack | undefined {
  if (retryUntil === undefined || !(err instanceof ApplicationFailure) || err.nonRetryable) return undefined;
  const [failure, nextRetryDelayMs] = (err.details ?? []) as [AgentFailure?, number?];
  const retryDelayMs = nextRetryDelayMs ?? delayBeforeRetry();
  const isInTime = Date.now() + retryDelayMs < Date.parse(retryUntil);
  return failure && !isInTime ? { kind: 'handed-back', attempts, failure, retryDelayMs } : undefined;
}

/** What Temporal makes of the retry policy of the activity at hand. */
function delayBeforeRetry(): number {
  const { attempt, retryPolicy = {} } = Context.current().info;
  const { initialInterval, backoffCoefficient = 2, maximumInterval } = retryPolicy;
  // The SDK gives numbers, of milliseconds, for what may be set as text.
  const delayMs = Number(initialInterval ?? 1_000) * backoffCoefficient ** (attempt - 1);
  return Math.min(delayMs, Number(maximumInterval ?? Infinity));
}

/**
 * The answer if it comes in time. A cancelled activity leaves the call alone: mostly its workflow task is to be done
 * over, and wants to find it.
 */
async function within(ms: number, { answer }: OpenCall): Promise<ReadAnswer | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([answer, Context.current().cancelled, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for the whole answer, reports what a stream brings, and ends the call when the activity is cancelled. */
async function finish({ attempt, answer, abort, end, toFailure }: OpenCall): Promise<AgentAnswer> {
  const context = Context.current();
  context.cancellationSignal.addEventListener('abort', abort, { once: true });
  const heartbeat = startHeartbeat(context);
  try {
    const read = await answer;
    if (read.kind !== 'stream') return read;
    const send = reportToWorkflow(context);
    const batcher = createReportBatcher((reports) => send(reports).catch(warn), maxReportedBytes(attempt));
    return await read.follow({ batcher, report: (reports) => insist(() => send(reports), context) });
  } catch (err) {
    if (context.cancellationSignal.aborted) return await context.cancelled;
    throw toFailure(err);
  } finally {
    end();
    heartbeat.stop();
  }
}

function reportToWorkflow({ client, info }: Context): (reports: AgentReport[]) => Promise<void> {
  const { workflowId, runId } = info.workflowExecution ?? {};
  if (workflowId === undefined) throw new Error('the agent was not called by a workflow');
  const execution = client.workflow.getHandle(workflowId, runId);
  return (reports) => execution.signal(agentReportSignal, reports);
}

/** Tries until it is taken, or this activity is cancelled: an agent that has done its part is not to be called again. */
async function insist(send: () => Promise<void>, { cancelled }: Context): Promise<void> {
  for (;;) {
    try {
      return await send();
    } catch (err) {
      if (err instanceof WorkflowNotFoundError) throw err;
      warn(err);
    }
    await Promise.race([sleep(INSIST_MS), cancelled]);
  }
}

/** The agent's work matters more than the news of it. */
function warn(err: unknown): void {
  log.warn('reports of the agent could not be recorded', { error: String(err) });
}
