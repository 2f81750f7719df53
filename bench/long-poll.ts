/** Suite `long-poll`: from an event that an agent reports to the clients that wait for it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createBenchClient } from './client.ts';
import type { BenchClient } from './client.ts';
import { startHeld } from './held.ts';
import { readerRows, runReaderBlocks, sizeOf } from './reader-blocks.ts';
import type { ReaderBlock, Times } from './reader-blocks.ts';
import { factLines, noiseLine } from './suite.ts';
import type { Suite } from './suite.ts';
import { table } from './table.ts';

/** So that every reader waits again when the next event comes. */
const PAUSE_MS = 50;

export const longPoll: Suite = async ({ plan, startStand, say }) => {
  const { rounds, events } = sizeOf(plan);
  const stand = await startStand({ withBaseline: false });
  const http = createBenchClient();
  const base = `${stand.apiUrl}/api/v1`;
  const blocks = await runReaderBlocks(stand, rounds, (readers) => runBlock(http, base, readers, events), say);
  await http.close();
  return render(blocks, { rounds, events });
};

async function runBlock(http: BenchClient, base: string, readers: number, events: number): Promise<Times> {
  const { url, answer } = await startHeld(http, base);
  let { etag } = answer;
  const takenMs: number[] = [];
  const readMs: number[] = [];
  for (let event = 1; event <= events; event++) {
    // From the state before on, so that a reader that is late misses nothing.
    const waiting = Array.from({ length: readers }, async () => {
      const answer = await http.send(`${url}?wait=30`, undefined, { 'if-none-match': etag });
      return { answer, at: performance.now() };
    });
    await sleep(PAUSE_MS);
    const sentAt = performance.now();
    await http.send(`${url}/status`, { status: 'running', current_action: `step ${event}` });
    takenMs.push(performance.now() - sentAt);
    for (const { answer, at } of await Promise.all(waiting)) {
      const seen = (JSON.parse(answer.text) as { current_action: string | null }).current_action;
      if (seen !== `step ${event}`) throw new Error(`a reader saw ${seen} instead of step ${event}`);
      readMs.push(at - sentAt);
      etag = answer.etag;
    }
  }
  await http.send(`${url}/cancel`, {});
  return { takenMs, readMs };
}

function render(blocks: ReaderBlock[], { rounds, events }: { rounds: number; events: number }): string {
  return [
    '## Long poll: from an event to those who wait for it',
    '',
    ...factLines(),
    `- Blocks: ${rounds} of ${events} events for each number of readers, alternating`,
    noiseLine(blocks.map(({ cpu }) => cpu)),
    '',
    table(
      ['readers', 'callback taken p50 ms', 'p99', 'reader has it p50 ms', 'p99', 'answers', 'blocks'],
      readerRows(blocks),
    ),
    '',
    '- An agent posts progress; all readers wait in `GET /executions/{id}?wait=` on the one execution, through one API. Both',
    '  times are from the send of the callback: to its 200, when Temporal has recorded it, and to the answer of each',
    '  reader, its JSON included. Readers may have it before the agent has its 200.',
    '- All readers and the agent are one process: with 100 readers the answers queue there.',
    '',
  ].join('\n');
}
