/**
 * A webhook receiver to copy: it believes a delivery only when its signature is right, acts once per delivery however
 * often it arrives, and answers before the sender's patience ends.
 *
 *   WEBHOOK_SECRET=whsec_... node --import tsx examples/webhook-receiver.ts
 *
 * Answers: 204 taken (again, for a repetition), 400 not a JSON object, 401 signature missing or wrong, 413 too large.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

const TOLERANCE_S = 5 * 60;
const MAX_BODY_BYTES = 8 * 1024 * 1024;
const MAX_REMEMBERED = 10_000;

/** Why a delivery is not to be believed, or undefined when it is genuine. The raw bytes count, not parsed JSON. */
function whyNotGenuine(headers: IncomingHttpHeaders, rawBody: Buffer, secret: string): string | undefined {
  const id = headers['webhook-id'];
  const timestamp = headers['webhook-timestamp'];
  const signatures = headers['webhook-signature'];
  if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof signatures !== 'string') {
    return 'webhook-id, webhook-timestamp or webhook-signature is missing';
  }
  // An old delivery that somebody kept and sends again carries a genuine signature; only its age gives it away.
  if (!/^\d{1,12}$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_S) {
    return 'webhook-timestamp is not a time of the last five minutes';
  }
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : secret;
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(rawBody).digest('base64');
  // There may be several, separated by spaces, while a secret is being changed.
  if (!signatures.split(' ').some((signature) => isSame(signature, `v1,${expected}`))) {
    return 'webhook-signature is wrong';
  }
  // AgentField's older signature covers neither id nor time, so it is checked in addition, never instead.
  const agentField = headers['x-agentfield-signature'];
  const digest = createHmac('sha256', secret).update(rawBody).digest('hex');
  if (agentField !== undefined && !(typeof agentField === 'string' && isSame(agentField, `sha256=${digest}`))) {
    return 'x-agentfield-signature is wrong';
  }
  return undefined;
}

/** Compares in constant time: how long it takes must not tell how much of a guess was right. */
function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Ids of deliveries already acted on. A real service would keep them where it keeps what the deliveries change. */
const handled = new Set<string>();

function receive(headers: IncomingHttpHeaders, rawBody: Buffer, secret: string): number {
  const reason = whyNotGenuine(headers, rawBody, secret);
  if (reason) {
    // Nothing of an unverified delivery is printed: anybody could write into this log.
    console.log(`REFUSED   ${reason}`);
    return 401;
  }
  const delivery = parse(rawBody);
  if (!delivery) {
    console.log('REFUSED   verified, but not a JSON object');
    return 400;
  }
  const id = String(headers['webhook-id']);
  const isRepetition = handled.has(id);
  if (!isRepetition) {
    // This is the place to act on the delivery; the id is remembered only once that has worked.
    handled.add(id);
    for (const oldest of handled) {
      if (handled.size <= MAX_REMEMBERED) break;
      handled.delete(oldest);
    }
  }
  const shown = ['event', 'execution_id', 'status', 'sequence'].map((name) => `${name}=${plain(delivery[name])}`);
  console.log(`verified  ${shown.join(' ')} webhook-id=${id}${isRepetition ? ' (repetition, ignored)' : ''}`);
  return 204;
}

function plain(value: unknown): string | number {
  return typeof value === 'string' || typeof value === 'number' ? value : '-';
}

function parse(rawBody: Buffer): Record<string, unknown> | undefined {
  try {
    const body: unknown = JSON.parse(rawBody.toString('utf8'));
    return typeof body === 'object' && body !== null && !Array.isArray(body) ? { ...body } : undefined;
  } catch {
    return undefined;
  }
}

function main(): void {
  if (process.argv.includes('--help')) {
    console.log(
      'Environment: WEBHOOK_SECRET (required), PORT (default 9000; 0: a free port), HOST (default 127.0.0.1)',
    );
    return;
  }
  const secret = process.env['WEBHOOK_SECRET'];
  if (!secret) return exitWith('WEBHOOK_SECRET must be set to the secret the webhook was registered with');
  const port = Number(process.env['PORT'] || 9000);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    return exitWith(`PORT must be a whole number from 0 to 65535, not '${process.env['PORT']}'`);
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      // What is too much is read and dropped: a sender that is still sending would not see the 413.
      if (size <= MAX_BODY_BYTES) chunks.push(chunk);
    });
    request.on('end', () => {
      if (request.method !== 'POST') response.setHeader('allow', 'POST').writeHead(405);
      else if (size > MAX_BODY_BYTES) response.writeHead(413);
      else response.writeHead(receive(request.headers, Buffer.concat(chunks), secret));
      response.end();
    });
  });
  server.once('error', (error) => exitWith(`cannot listen: ${error.message}`));
  server.listen(port, process.env['HOST'] || '127.0.0.1', () => {
    const { address, family, port: bound } = server.address() as AddressInfo;
    console.log(`listening on http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`);
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      server.close();
      // Senders keep finished connections open for reuse, which would hold the process up.
      setInterval(() => server.closeIdleConnections(), 50).unref();
    });
  }
}

function exitWith(message: string): void {
  console.error(message);
  process.exit(2);
}

main();
