import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { serve } from '@hono/node-server';
import type { Hono } from 'hono';
import { ApiError, PROBLEM_TYPE, problemBody } from './errors.ts';

export interface Listening {
  port: number;
  /** Takes no new requests, lets those in progress end until the grace is over, then cuts them. */
  close: (graceMs: number) => Promise<void>;
}

/** A request's head must be here in this time, its body in that: a slow sender cannot hold a connection for ever. */
const HEADERS_TIMEOUT_MS = 20_000;
const REQUEST_TIMEOUT_MS = 60_000;
const MAX_HEADER_BYTES = 32 * 1024;

/** Listens; resolves when the port is bound, rejects when it cannot be. */
export function listen(app: Hono, { host, port }: { host: string; port: number }): Promise<Listening> {
  return new Promise((resolve, reject) => {
    const server = serve({
      fetch: app.fetch,
      hostname: host,
      port,
      serverOptions: {
        headersTimeout: HEADERS_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        maxHeaderSize: MAX_HEADER_BYTES,
      },
    }) as Server;
    server.on('clientError', refuseUnreadable);
    server.once('error', reject);
    server.once('listening', () => {
      const { port: bound } = server.address() as AddressInfo;
      resolve({ port: bound, close: (graceMs) => closeServer(server, graceMs) });
    });
  });
}

/** What Node could not parse never reaches the app; it is told why all the same. */
function refuseUnreadable(err: NodeJS.ErrnoException, socket: Duplex): void {
  if (err.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const refusal = REFUSAL_OF[err.code ?? ''] ?? new ApiError('malformed_request', 'this is not an HTTP/1.1 request');
  const body = JSON.stringify(problemBody(refusal, randomUUID()));
  const { status } = problemBody(refusal, '');
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

const REFUSAL_OF: Record<string, ApiError> = {
  HPE_HEADER_OVERFLOW: new ApiError('headers_too_large', `URL and headers are larger than ${MAX_HEADER_BYTES} bytes`),
  ERR_HTTP_REQUEST_TIMEOUT: new ApiError('request_timeout', 'the request was not complete in time'),
};

function closeServer(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}
