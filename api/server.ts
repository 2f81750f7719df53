import { randomUUID } from 'node:crypto';
import { createServer, IncomingMessage, STATUS_CODES } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener, RequestError } from '@hono/node-server';
import type { Hono } from 'hono';
import { ApiError, PROBLEM_TYPE, problemBody } from './errors.ts';

/** Takes over a connection whose client asks for another protocol (RFC 9110, 7.8). */
export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export interface Listening {
  port: number;
  /** Takes no new requests, lets those in progress end until the grace is over, then cuts them. */
  close: (graceMs: number) => Promise<void>;
}

/** A request's head must be here in this time, its body in that: a slow sender cannot hold a connection for ever. */
const HEADERS_TIMEOUT_MS = 20_000;
const REQUEST_TIMEOUT_MS = 60_000;
const MAX_HEADER_BYTES = 32 * 1024;
/** How often Node looks for those; its own preset would let them have 30 s more. */
const CHECK_TIMEOUTS_MS = 1_000;

/**
 * Node hands every request that offers another protocol to who listens for that. Some clients offer `h2c` with each
 * request (Java's does): only what asks for a WebSocket is taken as an offer, all else as the request that it is.
 */
class Request extends IncomingMessage {
  #isUpgrade = false;

  get upgrade(): boolean {
    return this.#isUpgrade && (this.method === 'CONNECT' || this.headers.upgrade?.toLowerCase() === 'websocket');
  }

  set upgrade(isUpgrade: boolean | null) {
    // Node's own constructor sets it before there is a field.
    if (#isUpgrade in this) this.#isUpgrade = isUpgrade === true;
  }
}

/** Listens; resolves when the port is bound, rejects when it cannot be. */
export function listen(
  app: Hono,
  { host, port }: { host: string; port: number },
  onUpgrade?: UpgradeHandler,
): Promise<Listening> {
  return new Promise((resolve, reject) => {
    const answer = getRequestListener(app.fetch, { hostname: host, errorHandler: refuseUnservable });
    const options = {
      IncomingMessage: Request,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: CHECK_TIMEOUTS_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      // Node's own refusal has no body.
      requireHostHeader: false,
    };
    const answering = new Set<ServerResponse>();
    let isClosing = false;
    // A client that goes on using its connection would be cut off in the middle of a request when the grace is over.
    const endConnectionOf = (response: ServerResponse) => {
      if (!response.headersSent) response.setHeader('Connection', 'close');
    };
    const server = createServer(options, (request, response) => {
      answering.add(response);
      response.once('close', () => answering.delete(response));
      if (isClosing) endConnectionOf(response);
      if (request.headers.host === undefined && request.httpVersion === '1.1') refuse(response, NO_HOST);
      else void answer(request, response);
    });
    server.on('checkExpectation', (_request, response: ServerResponse) => refuse(response, UNKNOWN_EXPECTATION));
    server.on('clientError', refuseUnreadable);
    if (onUpgrade) server.on('upgrade', onUpgrade);
    server.once('error', reject);
    server.listen(port, host, () => {
      const { port: bound } = server.address() as AddressInfo;
      const close = (graceMs: number) => {
        isClosing = true;
        for (const response of answering) endConnectionOf(response);
        return closeServer(server, graceMs);
      };
      resolve({ port: bound, close });
    });
  });
}

/** What Node could not parse never reaches the app; it is told why all the same. */
function refuseUnreadable(err: NodeJS.ErrnoException, socket: Duplex): void {
  if (err.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const refusal = REFUSAL_OF[err.code ?? ''] ?? new ApiError('malformed_request', 'this is not an HTTP/1.1 request');
  refuseSocket(socket, refusal);
}

/** A refusal on a connection for which there is no response any more. */
export function refuseSocket(socket: Duplex, refusal: ApiError): void {
  const { status, headers, body } = toAnswer(refusal);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** What Node could parse, but no `Request` can be made of. */
function refuseUnservable(err: unknown): Response {
  const refusal =
    err instanceof RequestError
      ? new ApiError('malformed_request', 'the Host header or the request target is not a valid one')
      : new ApiError('internal_error', 'internal error');
  const { status, headers, body } = toAnswer(refusal);
  return new Response(body, { status, headers });
}

function refuse(response: ServerResponse, refusal: ApiError): void {
  const { status, headers, body } = toAnswer(refusal);
  response.writeHead(status, headers).end(body);
}

/** A refusal that the app has no part in, in the shape of those of the app. */
function toAnswer(refusal: ApiError): { status: number; headers: Record<string, string>; body: string } {
  const requestId = randomUUID();
  const problem = problemBody(refusal, requestId);
  const body = JSON.stringify(problem);
  const headers = {
    'Content-Type': PROBLEM_TYPE,
    'Content-Length': String(Buffer.byteLength(body)),
    'X-Request-ID': requestId,
    Connection: 'close',
  };
  return { status: problem.status, headers, body };
}

const NO_HOST = new ApiError('malformed_request', 'an HTTP/1.1 request needs a Host header');
const UNKNOWN_EXPECTATION = new ApiError('expectation_failed', 'the only Expect that can be met is 100-continue');

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
