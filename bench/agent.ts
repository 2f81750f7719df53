/**
 * The agent node of the benchmark, a process of its own: `/reasoners/echo` answers at once with what it got,
 * `/reasoners/hold` answers 202 and never reports back.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Connections outlive the pauses between two blocks. */
const KEEP_ALIVE_MS = 600_000;

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.once('end', () => {
    if (request.url === '/reasoners/hold') return response.writeHead(202).end();
    const body = Buffer.concat(chunks);
    return response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body);
  });
});
server.keepAliveTimeout = KEEP_ALIVE_MS;
server.listen(0, '127.0.0.1');
await once(server, 'listening');
process.once('disconnect', () => process.exit());
process.send?.({ port: (server.address() as AddressInfo).port });
