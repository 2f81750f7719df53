import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { TestContext } from 'node:test';
import { acceptingAgent } from '../support/agents.ts';
import { httpServer } from '../support/http-server.ts';
import { startSystem } from '../support/system.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test('a wait is over in its time although garbage is collected meanwhile', async (t) => {
  const agent = await acceptingAgent(t);
  const system = await startSystem(t, { agentNodes: { a: agent.url } });
  collectOften(t);
  const answered = system.post('/api/v1/execute/a.x', {}, { Prefer: 'wait=2' });
  const answer = await Promise.race([answered, sleep(30_000, undefined, { ref: false })]);
  assert.equal(answer?.status, 202, 'no answer after 30 s of a wait of 2');
});

for (const [where, said] of [
  ['before its answer', ''],
  ['in the middle of its answer', '{"half":'],
  ['in the middle of a stream', '{"type":"progress","progress_pct":1}\n'],
] as const)
  test(`the limit of a call that hangs ${where} passes although garbage is collected meanwhile`, async (t) => {
    const agent = await httpServer(t, ({ path }, response) => {
      if (path.startsWith('/_internal/')) return void response.end();
      if (said === '') return;
      response.writeHead(200, { 'content-type': said.endsWith('\n') ? 'application/x-ndjson' : 'application/json' });
      response.write(said);
    });
    const system = await startSystem(t, { agentNodes: { a: { url: agent.url, timeout_ms: 2_000 } } });
    collectOften(t);
    const answered = system.post('/api/v1/execute/a.x');
    const answer = await Promise.race([answered, sleep(30_000, undefined, { ref: false })]);
    assert.equal(answer?.status, 504, 'no answer after 30 s of a limit of 2');
    assert.equal(answer.body.details, 'Agent call exceeded 2 second limit');
  });

function collectOften(t: TestContext): void {
  const timer = setInterval(collectGarbage, 100);
  t.after(() => clearInterval(timer));
}
