/** What the tests of the helper library do with it. agent.py is the same in Python. */
import { serve } from '../../sdk/typescript/perdure.ts';
import type { Execution, Json } from '../../sdk/typescript/perdure.ts';

/** Tells the outside world something; an effect has the name under which it counts once. */
async function tell(url: string, name: string, more: object = {}): Promise<Json> {
  const body = JSON.stringify({ name, pid: process.pid, ...more });
  return (await fetch(url, { method: 'POST', body })).json();
}

async function tenSteps({ outside }: Json, execution: Execution): Promise<unknown> {
  const from: number = execution.lastCheckpoint?.done ?? 0;
  await tell(outside, 'began', { attempt: execution.attempt, from });
  const values = [];
  for (let n = from + 1; n <= 10; n++) {
    values.push(await execution.step(`step-${n}`, (key) => tell(outside, key)));
    await execution.checkpoint({ done: n });
  }
  return { from, values };
}

async function parent({ outside, target }: Json, execution: Execution): Promise<unknown> {
  await execution.note('calls a child', ['family']);
  await execution.progress('calling', 50);
  const answer = await execution.call(target, { outside });
  await tell(outside, 'called', { attempt: execution.attempt });
  return { answer, again: await execution.call(target, { outside }) };
}

async function child({ outside }: Json, execution: Execution): Promise<unknown> {
  return tell(outside, `child ${execution.id}`);
}

async function listener({ outside }: Json, execution: Execution): Promise<unknown> {
  const heard: unknown[] = [];
  for (;;) {
    for (const message of await execution.messages()) {
      if (message.text === undefined) message.rejected('it has no text');
      else message.applied(`heard ${heard.push(message.text)}`);
    }
    if (heard.at(-1) === 'end') return heard;
    await tell(outside, 'listening');
  }
}

async function stubborn({ outside }: Json, execution: Execution): Promise<unknown> {
  await tell(outside, 'waiting');
  return { aborted: execution.signal.aborted };
}

await serve({
  node: String(process.env['NODE_NAME']),
  heartbeatMs: Number(process.env['HEARTBEAT_MS']),
  reasoners: { ten_steps: tenSteps, parent, child, listener, stubborn },
  schemas: { ten_steps: { type: 'object', required: ['outside'] } },
});
