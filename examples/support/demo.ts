/**
 * The demo knobs every example agent takes as `input.demo`, to watch Perdure deal with slow, failing and dying agents:
 *
 *   step_ms       extra milliseconds per step
 *   fail_at       name of a step that fails
 *   fail_status   HTTP status of that failure (default 422, which is final; 5xx and 429 are retried)
 *   crash_at      name of a step at which the process dies with exit code 70, on the first attempt only
 *   crash_always  true: on every attempt
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError, isObject, type Call } from './agent-server.ts';

export const DEMO_HELP = `Demo knobs, inside the input:
  "demo": {"step_ms": 500, "fail_at": "<step>", "fail_status": 422, "crash_at": "<step>", "crash_always": false}
  step_ms       extra milliseconds per step (at most 3600000)
  fail_at       the step that fails, with fail_status (400-599; default 422)
  crash_at      the step at which the process exits with code 70, on the first attempt only
  crash_always  true: on every attempt`;

const MAX_STEP_MS = 3_600_000;

/** Returns the function to call at the start of each step; it waits, dies or throws as the input asks. */
export function demoSteps<Step extends string>(steps: readonly Step[], call: Call): (step: Step) => Promise<void> {
  const demo = call.input['demo'] ?? {};
  if (!isObject(demo)) throw new AgentError(422, 'demo must be an object');
  const { step_ms: stepMs = 0, fail_status: failStatus = 422, crash_always: crashAlways = false } = demo;
  const { fail_at: failAt, crash_at: crashAt } = demo;
  if (!isWholeNumber(stepMs, 0, MAX_STEP_MS)) {
    throw new AgentError(422, `demo.step_ms must be a whole number from 0 to ${MAX_STEP_MS}`);
  }
  if (!isWholeNumber(failStatus, 400, 599)) {
    throw new AgentError(422, 'demo.fail_status must be a whole number from 400 to 599');
  }
  if (typeof crashAlways !== 'boolean') throw new AgentError(422, 'demo.crash_always must be true or false');
  for (const [knob, step] of Object.entries({ fail_at: failAt, crash_at: crashAt })) {
    if (step !== undefined && !(steps as readonly unknown[]).includes(step)) {
      throw new AgentError(422, `demo.${knob} must be one of the steps: ${steps.join(', ')}`);
    }
  }
  return async (step) => {
    call.signal.throwIfAborted();
    if (stepMs > 0) await sleep(stepMs, undefined, { signal: call.signal });
    if (step === crashAt && (crashAlways || call.attempt === 1)) process.exit(70);
    if (step === failAt) throw new AgentError(failStatus, `step '${step}' failed, as demo.fail_at asked`);
  };
}

export function isWholeNumber(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
}
