// The DBOS peer: the two steps as its documentation writes them, in a small HTTP server as users build one around it.
// Plain JavaScript, because its packages are installed only for a run with --peers, and types must check without them.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { DBOS } from '@dbos-inc/dbos-sdk';
import { Agent, request } from 'undici';

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

async function executeSteps({ id, agentUrl, input, webhookUrl }) {
  const result = await DBOS.runStep(async () => JSON.parse(await post(agentUrl, input, id)), { name: 'agent' });
  await DBOS.runStep(
    async () => {
      await post(webhookUrl, { event: 'execution.completed', execution_id: id, status: 'succeeded', result }, id);
    },
    { name: 'receiver' },
  );
  return result;
}
const execute = DBOS.registerWorkflow(executeSteps, { name: 'execute' });

DBOS.setConfig({
  name: 'bench',
  systemDatabaseUrl: process.env.BENCH_DATABASE_URL,
  // Else it is made of the source, and what another version began is not taken up after a crash.
  applicationVersion: 'bench',
  logLevel: 'error',
});
await DBOS.launch();

async function serve(incoming, response) {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const work = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  const handle = await DBOS.startWorkflow(execute, { workflowID: work.id })(work);
  const isCall = incoming.url === '/call';
  const answer = isCall ? await handle.getResult() : { id: work.id };
  response.writeHead(isCall ? 200 : 202, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
}

const server = createServer((incoming, response) => {
  serve(incoming, response).catch((err) => response.writeHead(500).end(String(err)));
});
server.keepAliveTimeout = 600_000;
server.listen(Number(process.env.BENCH_PORT), '127.0.0.1');
await once(server, 'listening');
process.once('disconnect', () => process.exit());
process.send?.({ ready: true });
