import assert from "node:assert/strict";
import { constants, zstdCompressSync } from "node:zlib";
import { memorySource } from "../../core/files/byte_source.ts";
import { decompress } from "../../core/text/decompress.ts";
import { bytesOf, concatenated } from "./corpora.ts";
import { uniform } from "../random.ts";

const text = bytesOf(Array.from({ length: 20_000 }, (_, i) => `document ${(i * 7919) % 10007} of ${i}\n`).join(""));
const checked = compressed(text, true);
/** A frame that readers are to pass over: its magic number, its length, and that many bytes. */
const skipped = Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3);

function compressed(bytes: Uint8Array, hasChecksum: boolean): Uint8Array {
  return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: hasChecksum ? 1 : 0 } });
}

async function read(bytes: Uint8Array): Promise<Uint8Array> {
  const pieces = [];
  for await (const piece of decompress(memorySource("a.zst", bytes).stream(0), "zstd", "a.zst")) pieces.push(piece);
  return concatenated(...pieces);
}

Deno.test("frames that follow each other are one text: with and without checksum, empty, skipped", async () => {
  const file = concatenated(skipped, checked, compressed(new Uint8Array(), true), compressed(text, false), skipped);
  assert.deepEqual(await read(file), concatenated(text, text));
  assert.deepEqual(await read(compressed(new Uint8Array(), false)), new Uint8Array());
});

Deno.test("a frame of a single piece of one repeated byte is one", async () => {
  const zeros = new Uint8Array(1 << 20);
  assert.deepEqual(await read(compressed(zeros, true)), zeros);
});

Deno.test("no flipped bit of a file with checksums goes unseen", async () => {
  const next = uniform(5);
  for (let n = 0; n < 200; n++) {
    const spoilt = Uint8Array.from(checked), bit = Math.floor(next() * 8 * spoilt.length);
    spoilt[bit >> 3] ^= 1 << (bit & 7);
    // Some bits mean nothing: a reader with more memory, or none. Then the text is what it was.
    const text_ = await read(spoilt).catch((error: Error) => error.message);
    if (typeof text_ === "string") {
      assert.match(text_, /^Cannot read a\.zst: it must be a whole zstd file, .*; download or compress it again$/);
    } else {
      assert.deepEqual(text_, text, `bit ${bit}`);
    }
  }
});

Deno.test("a file that is cut off, or goes on as something else, is refused", async () => {
  for (const length of [0, 3, 4, 5, 9, 1000, checked.length - 4, checked.length - 1]) {
    await assert.rejects(read(checked.subarray(0, length)), /it ends in the middle of a frame/, `${length} bytes`);
  }
  await assert.rejects(read(concatenated(checked, bytesOf("text"))), /something else follows its first frames/);
  await assert.rejects(read(bytesOf("text that is not compressed")), /it does not begin as one/);
});
