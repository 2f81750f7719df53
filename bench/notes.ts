/** What stands under the tables of the cost section. */

export const AGENTFIELD = `### AgentField, measured elsewhere

AgentField's control plane is in no package index, so it is not in this run. These figures were taken on another 2-core
machine with its versions 0.1.5 / 0.1.128-rc.3 on SQLite, with the same kind of closed loop: they give an order of
magnitude, not a ratio to the numbers above. It keeps accepted work in memory: a crash loses it.

| | c=1 p50 (p99) ms | c=16 p50 ms |
|---|---:|---:|
| direct agent call | 0.25 | |
| sync execute | 3.4-4.0 (11-13) / 3.6-4.6 (11-13) | 46-51 / 48-67, at 308-342 / 217-326 per s |
| submit | 2.5-3.0 / 3.2-5.8 | |
| submit to webhook | 4.4-5.3 (13) / 5.0-6.2 (15) | 58-73 / 84-95 |
| status GET | 0.35-0.40 / 0.40-0.50 | 1.3-2.9 / 3.0-4.5 |

CPU per execution: sync 2.8-3.8 / 3.0-4.5 ms, with webhook 3.7-5.2 / 5.3-6.5 ms. Resident with 1,000 acknowledged in
flight: 40 / 51 MB. Cold start: 75-214 ms.`;

export const NOTES = `### How to read this

- Every number is from one run on one machine: compare within it only. Blocks of all subjects alternate, forwards and
  backwards; a ratio is taken per round between two blocks of that round. Shown is the median, and from least to
  greatest.
- Rows: A calls the agent without anything in between. B is the Temporal SDK alone: a workflow with one or two
  ordinary activities, a worker process of its own, the client in the benchmark's process, the same server and flags.
  C is Perdure over HTTP: the API and the worker as processes of their own with their default settings. C1 is both in
  one process (\`npm run serve\`), whose CPU is under "worker". The agent answers at once with about 260 bytes of JSON;
  all connections are kept alive.
- B's worker has the settings of Perdure's: as many activities at a time, and no gRPC compression, which would cost both
  about as much (the SDK compresses unless told not to).
- "answer" is the time to the HTTP answer, or to the return of \`execute()\` or \`start()\`. \`execute()\` returns when the
  workflow has closed, after both activities, and so does Perdure's sync answer where the receiver takes the webhook
  within a second. "webhook" is the time from the submit to the arrival.
- A turn of the closed loop ends when both the answer and the webhook are there. In (1) both still have to close the
  workflow then, which overlaps the next turn. CPU per execution counts it for all.
- Perdure's webhook is signed and its URL sealed in history, it registers two search attributes, and its API writes a
  log line per execution; the bare SDK does none of that.
- B calls the agent in an ordinary activity, as the SDK is taught. Perdure makes the first call within the first workflow
  task, and hands it over to an activity where the agent takes its time (docs/decisions/002): what is saved is in events
  and transitions.
- With \`--peers\`: D and E do the same two steps, durable, over the way their users go in: Restate by its HTTP ingress
  into a service of its Node SDK, DBOS inside a small HTTP server of ours, with PostgreSQL. Both have their default
  settings, fsync included. Theirs is less: no signed webhook, no attempts to read, no status API of its own. "server" is
  Restate's server or PostgreSQL, "worker" the service. A sync answer of theirs comes after both steps.
- One HTTP round trip is the least that a poll can take: the last line of the ratios compares it with row A.
- CPU is user and system time of each process within the window, per turn that ended in it. "client" is the benchmark
  itself: for B it holds the Temporal client, for both the webhook receiver. p99 is over all turns of all counted
  blocks together.
- A block is noisy when processes other than these took more than 5 % of the machine, or the hypervisor more than 1 %.
  Noisy blocks are not counted, unless there are no others: such cells are marked \`*\`.`;
