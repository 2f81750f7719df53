import type { Mutation } from './mutations.ts';

/** Protections of the delivery of webhooks. */
export const WEBHOOK_MUTATIONS: Mutation[] = [
  {
    name: 'webhook-early',
    what: 'the webhook is sent by a local activity, whose input is not in history',
    file: 'workflows/delivery.ts',
    edits: [
      {
        find: 'ApplicationFailure, proxyActivities }',
        replace: 'ApplicationFailure, proxyLocalActivities as proxyActivities }',
      },
    ],
    faults: 'none',
    caughtBy: 'I4',
  },
  {
    name: 'webhook-not-retried',
    what: 'a webhook is tried once',
    file: 'workflows/delivery.ts',
    edits: [
      {
        find: 'maximumAttempts: policy.maximumAttempts,\n      initialInterval',
        replace: 'maximumAttempts: 1,\n      initialInterval',
      },
    ],
    faults: 'receiver:500,receiver:reset,receiver:slow-loris,cut:worker-receiver',
    caughtBy: 'I4',
  },
  {
    name: 'receiver-limit-forgotten',
    what: 'an attempt at a webhook may take as long as it likes',
    file: 'activities/deliver-webhook.ts',
    edits: [
      { find: 'signal: AbortSignal.timeout(delivery.timeoutMs),', replace: '' },
      {
        file: 'workflows/delivery.ts',
        find: 'startToCloseTimeout: policy.attemptTimeoutMs + REPORT_GRACE_MS,',
        replace: "startToCloseTimeout: '1 hour',",
      },
    ],
    faults: 'receiver:slow-loris',
    caughtBy: 'LIVE',
  },
  {
    name: 'no-webhook-for-cancelled',
    what: 'a cancelled execution sends no webhook',
    file: 'workflows/delivery.ts',
    edits: [
      {
        find: 'if (!outcome || !webhook) return false;',
        replace: "if (!outcome || !webhook || outcome.status === 'cancelled') return false;",
      },
    ],
    faults: 'agent:hang,agent:silent',
    caughtBy: 'I4',
    executions: 60,
  },
  {
    name: 'webhook-id-per-attempt',
    what: 'each attempt of a webhook has an id of its own',
    file: 'activities/deliver-webhook.ts',
    edits: [
      {
        find: 'const id = webhookId(subject);',
        replace: 'const id = `${webhookId(subject)}.${Math.random()}`;',
      },
    ],
    faults: 'receiver:500',
    caughtBy: 'I4',
  },
  {
    name: 'signature-without-time',
    what: 'the signature does not cover the timestamp',
    file: 'activities/webhook-signature.ts',
    edits: [{ find: '${id}.${timestamp}.${body}`).digest', replace: '${id}.${body}`).digest' }],
    faults: 'none',
    caughtBy: 'I4',
  },
  {
    name: 'gone-ignored',
    what: '410 does not end a delivery',
    file: 'activities/deliver-webhook.ts',
    edits: [{ find: 'const isLast = httpStatus === GONE || ', replace: 'const isLast = ' }],
    faults: 'receiver:410',
    caughtBy: 'I4',
  },
  {
    name: 'redirect-followed',
    what: 'a 3xx of a receiver is followed',
    file: 'activities/deliver-webhook.ts',
    edits: [
      {
        find: 'const httpStatus = response.statusCode;',
        replace: `const place = response.headers.location;
      if (typeof place === 'string') await request(new URL(place, webhook.url), { dispatcher: http, method: 'POST', body });
      const httpStatus = response.statusCode;`,
      },
    ],
    faults: 'receiver:302',
    caughtBy: 'I4',
  },
  {
    name: 'receiver-retry-after-ignored',
    what: "a receiver's Retry-After is not honoured",
    file: 'activities/deliver-webhook.ts',
    edits: [{ find: '...(nextRetryDelay !== undefined && { nextRetryDelay }),', replace: '' }],
    faults: 'receiver:429',
    caughtBy: 'I4',
  },
  {
    name: 'attempts-not-reported',
    what: 'failed attempts of a webhook are not written to history',
    file: 'activities/deliver-webhook.ts',
    edits: [
      {
        find: 'if (!isLast) await reportAttempt(attempt);',
        replace: 'if (!isLast && isLast) await reportAttempt(attempt);',
      },
    ],
    faults: 'receiver:500,receiver:down',
    caughtBy: 'I4',
  },
  {
    name: 'huge-answer-read',
    what: "all of a receiver's answer is read",
    file: 'activities/deliver-webhook.ts',
    edits: [
      {
        find: 'await readText(response.body, MAX_RESPONSE_BYTES).catch(() => undefined);',
        replace: 'await response.body.text().catch(() => undefined);',
      },
    ],
    faults: 'receiver:huge',
    caughtBy: 'I4',
  },
];
