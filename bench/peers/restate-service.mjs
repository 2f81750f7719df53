// The service of the Restate peer: the two steps as its documentation writes them. Plain JavaScript, because its
// packages are installed only for a run with --peers, and types must check without them.
import { Agent, request } from 'undici';

// The SDK calls it; Node has it from 22 on.
Promise.withResolvers ??= function withResolvers() {
  let resolve;
  let reject;
  const promise = new this((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { promise, resolve, reject };
};
const restate = await import('@restatedev/restate-sdk');

const dispatcher = new Agent();

async function post(url, body, executionId) {
  const response = await request(url, {
    dispatcher,
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-execution-id': executionId },
    body: JSON.stringify(body),
  });
  const text = await response.body.text();
  if (response.statusCode >= 300) throw new Error(`${url} answered ${response.statusCode}`);
  return text;
}

const bench = restate.service({
  name: 'bench',
  handlers: {
    execute: async (ctx, { id, agentUrl, input, webhookUrl }) => {
      const result = await ctx.run('agent', async () => JSON.parse(await post(agentUrl, input, id)));
      await ctx.run('receiver', async () => {
        await post(webhookUrl, { event: 'execution.completed', execution_id: id, status: 'succeeded', result }, id);
      });
      return result;
    },
  },
});

process.once('disconnect', () => process.exit());
// The SDK warns that requests are not signed: only this machine can send any.
const logger = (meta, ...message) => void (meta.level === 'error' && console.error(...message));
await restate.serve({ services: [bench], port: Number(process.env.BENCH_PORT), logger });
process.send?.({ ready: true });
