/**
 * An agent that asks before it acts: node `approval-agent`, reasoner `transfer`. Its first turn ends with a question;
 * nothing waits for the answer, for hours if need be. Then it is called again, with the answer and its checkpoint.
 *
 *   node --import tsx examples/approval-agent.ts
 *   curl -i -d '{"amount":120,"to":"Ada"}' http://127.0.0.1:<port>/reasoners/transfer
 *   Perdure-Status: waiting
 *   {"waiting":{"kind":"approval","text":"Transfer 120 to Ada?",...},"checkpoint":{"amount":120,"to":"Ada"}}
 *
 * Steps, for the demo knobs of support/demo.ts: `ask`, `transfer`.
 */
import { AgentError, isObject, Question, serveAgent, type Call } from './support/agent-server.ts';
import { DEMO_HELP, demoSteps, isWholeNumber } from './support/demo.ts';

const STEPS = ['ask', 'transfer'] as const;
const MAX_AMOUNT = 1_000_000;
const MAX_NAME_LENGTH = 200;
const DAY_MS = 24 * 3_600_000;

const HELP = `approval-agent: an agent that asks before it acts, with one reasoner, transfer

  POST /reasoners/transfer  {"amount": 120, "to": "Ada"}  ->  200 with Perdure-Status: waiting, a question
  Perdure-Turn: 2, and the answer in the body             ->  200 {"transferred": true, ...}

Input:
  amount         a whole number, 1 to ${MAX_AMOUNT}
  to             text, at most ${MAX_NAME_LENGTH} characters
  expires_in_ms  how long it waits; then it counts as rejected (default ${DAY_MS}, a day)

Environment: PORT (default 0: a free port), HOST (default 127.0.0.1)

Steps: ${STEPS.join(', ')}
${DEMO_HELP}`;

interface Transfer {
  amount: number;
  to: string;
}

async function transfer(call: Call): Promise<unknown> {
  const step = demoSteps(STEPS, call);
  const { decision, by, is_default: isDefault = false } = call.continued?.answer ?? {};
  // What was approved is what is done, whatever the input says: it is in the checkpoint.
  const { amount, to } = readTransfer(call.continued?.checkpoint ?? call.input);
  // Who has only sent a message has decided nothing.
  if (decision === undefined) {
    await step('ask');
    return new Question(
      {
        kind: 'approval',
        text: `Transfer ${amount} to ${to}?`,
        options: ['approve', 'reject'],
        expires_in_ms: readExpiry(call.input['expires_in_ms']),
        default: 'reject',
      },
      { amount, to },
    );
  }
  const answer = { amount, to, decision, by: by ?? null, is_default: isDefault };
  if (decision !== 'approve') return { transferred: false, ...answer };
  await step('transfer');
  // The execution id as its key: should this call be made again, the money goes once.
  return { transferred: true, ...answer, reference: call.executionId };
}

function readTransfer(fields: unknown): Transfer {
  const { amount, to }: Record<string, unknown> = isObject(fields) ? fields : {};
  // 422 tells Perdure that the same input will never do, so it is not tried again.
  if (!isWholeNumber(amount, 1, MAX_AMOUNT)) {
    throw new AgentError(422, `amount must be a whole number from 1 to ${MAX_AMOUNT}`);
  }
  if (typeof to !== 'string' || to.trim() === '' || to.length > MAX_NAME_LENGTH) {
    throw new AgentError(422, `to must be a text of 1 to ${MAX_NAME_LENGTH} characters`);
  }
  return { amount, to: to.trim() };
}

function readExpiry(ms: unknown = DAY_MS): number {
  if (!isWholeNumber(ms, 1, 365 * DAY_MS)) {
    throw new AgentError(422, `expires_in_ms must be a whole number from 1 to ${365 * DAY_MS}`);
  }
  return ms;
}

serveAgent({ node: 'approval-agent', help: HELP, reasoners: { transfer } });
