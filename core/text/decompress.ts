/**
 * Compressed text as a stream of its bytes.
 * @module
 */
import { Readable } from "node:stream";
import type { ReadableStream as NodeStream } from "node:stream/web";
import { createGunzip } from "node:zlib";
import { UserError } from "../errors.ts";
import { DamagedFile } from "./no_text.ts";
import { unzstd } from "./zstd.ts";

/** Pieces of a file, as they come. */
export type Bytes = AsyncIterable<Uint8Array>;

/** How a file is compressed. */
export type Compression = "none" | "gzip" | "zstd";

/**
 * Undoes a compression piece by piece. A file may consist of several compressed parts, one after the other, as parallel
 * compressors and `cat` make them. (That rules out DecompressionStream, which refuses the second part of a gzip file.)
 *
 * @param stream The compressed bytes.
 * @param compression How they are compressed.
 * @param path The file, for messages.
 * @throws {DamagedFile} while it is read, when the bytes are damaged or end too soon.
 */
export async function* decompress(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  compression: Compression,
  path: string,
): AsyncGenerator<Uint8Array> {
  if (compression === "none") return yield* stream;
  try {
    yield* compression === "gzip" ? gunzip(stream) : unzstd(stream);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new DamagedFile({
      action: `read ${path}`,
      requirement: `it must be a whole ${compression} file`,
      found: (error as Error).message,
      remedy: "download or compress it again",
    });
  }
}

async function* gunzip(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const input = Readable.fromWeb(stream as unknown as NodeStream), output = createGunzip();
  input.on("error", (error) => output.destroy(error));
  try {
    for await (const piece of input.pipe(output)) yield piece;
  } finally {
    input.destroy();
    output.destroy();
  }
}
