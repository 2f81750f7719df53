/** Bytes that come in pieces of any size. One buffer that doubles: a million pieces of a byte are no million objects. */
export interface ByteBuffer {
  /** Takes what fits. @returns whether all of it did */
  add: (piece: Uint8Array) => boolean;
  bytes: () => Buffer;
}

const FIRST_BYTES = 4096;

export function createByteBuffer(maxBytes: number): ByteBuffer {
  let buffer = Buffer.allocUnsafe(Math.min(FIRST_BYTES, maxBytes));
  let length = 0;
  return {
    add: (piece) => {
      const end = Math.min(length + piece.length, maxBytes);
      if (end > buffer.length) {
        const larger = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(2 * buffer.length, end)));
        buffer.copy(larger, 0, 0, length);
        buffer = larger;
      }
      buffer.set(piece.subarray(0, end - length), length);
      const isWhole = end - length === piece.length;
      length = end;
      return isWhole;
    },
    bytes: () => buffer.subarray(0, length),
  };
}
