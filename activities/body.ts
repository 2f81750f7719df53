import { createByteBuffer } from '../common/byte-buffer.ts';

/** Reads a response body, or gives up (undefined) as soon as it is longer than `maxBytes`. */
export async function readBody(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer | undefined> {
  const read = createByteBuffer(maxBytes);
  // Leaving the loop early destroys the stream, and with it the connection.
  for await (const chunk of body) if (!read.add(chunk)) return undefined;
  return read.bytes();
}

/** The first `maxBytes` of a body as text; the rest is not read. */
export async function readText(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<string> {
  const read = createByteBuffer(maxBytes);
  for await (const chunk of body) if (!read.add(chunk)) break;
  return read.bytes().toString('utf8');
}
