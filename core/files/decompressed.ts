/**
 * Bytes through one of Node's decompressors.
 * @module
 */

import { Readable, type Transform } from "node:stream";

/**
 * Decompresses a stream.
 *
 * @param packed Compressed bytes, in pieces of any size.
 * @param decompressor What undoes it, for example `createInflateRaw()`; it is destroyed at the end.
 * @returns The bytes, piece by piece.
 * @throws {Error} What `packed` throws, or the decompressor where the bytes are damaged.
 */
export async function* decompressed(
  packed: AsyncIterable<Uint8Array>,
  decompressor: Transform,
): AsyncGenerator<Uint8Array> {
  const input = Readable.from(packed);
  input.on("error", (error) => decompressor.destroy(error));
  try {
    for await (const piece of input.pipe(decompressor)) yield piece;
  } finally {
    input.destroy();
    decompressor.destroy();
  }
}
