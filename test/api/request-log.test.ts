import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { after, before, test } from 'node:test';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { sharedContext } from '../support/shared.ts';
import { acceptingAgent } from '../support/agents.ts';
import type { AcceptingAgent } from '../support/agents.ts';
import { httpServer, sendJson } from '../support/http-server.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

interface Line {
  level: number;
  method: string;
  path: string;
  status: number;
  execution_id?: string;
  client_gone?: boolean;
}

const INFO = 30;
const DEADLINE_MS = 60_000;
const shared = sharedContext();
const lines: Line[] = [];
const log = new PassThrough();
let silent: AcceptingAgent;
let system: System;
before(async () => {
  createInterface(log).on('line', (line) => {
    lines.push(JSON.parse(line) as Line);
    log.emit('line');
  });
  const echo = await httpServer(shared, (_, response) => sendJson(response, 200, {}));
  silent = await acceptingAgent(shared);
  system = await startSystem(shared, {
    agentNodes: { echo: { url: echo.url }, silent: { url: silent.url } },
    logger: pino({ level: 'info' }, log),
  });
});
after(shared.close);

async function lineOf(isWanted: (line: Line) => boolean): Promise<Line> {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  for (;;) {
    const line = lines.find(isWanted);
    if (line) return line;
    await once(log, 'line', { signal: deadline });
  }
}

test('what changes something and what is refused is logged, a read that went well is not', async () => {
  const { body } = await system.post('/api/v1/execute/echo.say', {});
  const path = `/api/v1/executions/${body.execution_id}`;
  await system.get(path);
  await system.get('/nowhere');

  await lineOf((line) => line.path === '/nowhere' && line.status === 404);
  const submit = await lineOf((line) => line.path === '/api/v1/execute/echo.say');
  assert.deepEqual([submit.level, submit.status, submit.execution_id], [INFO, 200, body.execution_id]);
  assert.equal(submit.client_gone, undefined);
  assert.equal(
    lines.some((line) => line.path === path),
    false,
  );
});

test('a client that leaves before its answer is in the log', async () => {
  const gone = new AbortController();
  const call = fetch(`${system.url}/api/v1/execute/silent.work`, { method: 'POST', signal: gone.signal });
  await silent.waitFor(1);
  gone.abort();
  await assert.rejects(call);
  const { client_gone, status } = await lineOf((line) => line.path === '/api/v1/execute/silent.work');
  assert.deepEqual({ client_gone, status }, { client_gone: true, status: 499 });
});
