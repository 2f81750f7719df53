import {
  agentCallbackSignal,
  agentReportSignal,
  answerSignal,
  cancelReasonSignal,
  cancelRequestSignal,
  instanceLostSignal,
  pauseSignal,
  resumeSignal,
  steerSignal,
  storeStepSignal,
  webhookAttemptSignal,
} from './contract.ts';
import { permitGrantedSignal } from './permit-contract.ts';
import type { Holder } from './contract.ts';
import type {
  AgentCallback,
  AgentReport,
  Answer,
  CancelRequest,
  PauseRequest,
  ResumeRequest,
  SteerMessage,
  StoredStep,
  WebhookAttempt,
} from './execution.ts';
import type { LogEntry } from './state.ts';

/** What a signal says, as entries for the reducer: to the workflow that gets it, and to who reads it in the history. */
export function entriesOfSignal(name: string, message: unknown): LogEntry[] {
  switch (name) {
    case agentReportSignal.name:
      return (message as AgentReport[]).map((report) => ({ kind: 'report', report }));
    case agentCallbackSignal.name:
      return [{ kind: 'callback', callback: message as AgentCallback }];
    case steerSignal.name:
      return [{ kind: 'message', message: message as SteerMessage }];
    case pauseSignal.name:
      return [{ kind: 'pause', request: message as PauseRequest }];
    case resumeSignal.name:
      return [{ kind: 'resume', request: message as ResumeRequest }];
    case answerSignal.name:
      return [{ kind: 'answer', answer: message as Answer }];
    case permitGrantedSignal.name:
      return [{ kind: 'permit-granted' }];
    case storeStepSignal.name:
      return [{ kind: 'step', step: message as StoredStep }];
    case instanceLostSignal.name:
      return [{ kind: 'instance-lost', holder: message as Holder }];
    case cancelRequestSignal.name:
      return [{ kind: 'cancel-request', request: message as CancelRequest }];
    case cancelReasonSignal.name:
      return [{ kind: 'cancel-request', request: { reason: message as string } }];
    case webhookAttemptSignal.name:
      return [{ kind: 'webhook-attempt', attempt: message as WebhookAttempt }];
    default:
      return [];
  }
}
