/** Parquet files: every encoding that is about, and damage of every kind, which is refused soon. */

import assert from "node:assert/strict";
import { parquetWriteBuffer } from "hyparquet-writer";
import { UserError } from "../../core/errors.ts";
import { memorySource } from "../../core/files/byte_source.ts";
import { PAGE_CODECS, undoPage } from "../../core/text/parquet_codecs.ts";
import { PageReader, readDifferences, readRuns } from "../../core/text/parquet_runs.ts";
import { uniform } from "../random.ts";
import { concatenated } from "./corpora.ts";
import { everyRecord } from "./every_record.ts";

const GOLDEN = new URL("../golden/parquet/", import.meta.url);
const names = [...Deno.readDirSync(GOLDEN)].map(({ name }) => name).sort();
const golden = (name: string) => Deno.readFileSync(new URL(name, GOLDEN));

/** The texts that make_parquet_golden.py writes; a null and an empty one are no record. */
const TEXTS = Array.from({ length: 60 }, (_, i) => {
  if (i % 7 === 3 || i % 11 === 5) return "";
  return `text ${i % 17} of the Union, ${"strong ".repeat(i % 5)}ü🌍`;
});

async function read(bytes: Uint8Array, name = "a.parquet"): Promise<string[]> {
  const records = await everyRecord(memorySource(name, bytes), "parquet");
  return records.map(({ text }) => text);
}

/** The texts of a file, or null where it is refused in a sentence. */
async function readOrRefuse(bytes: Uint8Array): Promise<string[] | null> {
  try {
    return await read(bytes);
  } catch (error) {
    assert.ok(error instanceof UserError, String((error as Error).stack));
    assert.match(error.message, /^Cannot read a\.parquet( row \d+)?: .*; /);
    return null;
  }
}

for (const name of names) {
  Deno.test(`${name}: pyarrow's encodings, codecs and page versions are read`, async () => {
    assert.deepEqual(await read(golden(name)), TEXTS.filter((text) => text !== ""));
  });
}

Deno.test("a flipped bit of a column with checksums never changes its text", async () => {
  const next = uniform(11), right = TEXTS.filter((text) => text !== "").join("\n");
  let refused = 0;
  for (const name of names) {
    const whole = golden(name);
    for (let n = 0; n < 150; n++) {
      const spoilt = whole.slice(), bit = Math.floor(next() * 8 * spoilt.length);
      spoilt[bit >> 3] ^= 1 << (bit & 7);
      const texts = await readOrRefuse(spoilt);
      if (texts === null) refused++;
      else assert.equal(texts.join("\n"), right, `${name}, bit ${bit}`);
    }
  }
  assert.ok(refused > 200, `${refused} of 900`);
});

Deno.test("bytes that are changed, lost or doubled end in a sentence, soon, without checksums too", async () => {
  const next = uniform(12), texts = TEXTS.map((text) => text || null);
  const column = (encoding?: "PLAIN" | "DELTA_BYTE_ARRAY" | "DELTA_LENGTH_BYTE_ARRAY") =>
    new Uint8Array(
      parquetWriteBuffer({
        columnData: [{ name: "text", data: texts, type: "STRING", nullable: true, encoding }],
        codec: "UNCOMPRESSED",
        rowGroupSize: 40,
      }),
    );
  const files = [column(), column("PLAIN"), column("DELTA_BYTE_ARRAY"), column("DELTA_LENGTH_BYTE_ARRAY")];
  for (const whole of files) {
    assert.deepEqual(await read(whole), texts.filter((text) => text !== null));
    for (let n = 0; n < 300; n++) {
      const at = Math.floor(next() * whole.length), length = 1 + Math.floor(next() * 24), spoilt = whole.slice();
      const kind = n % 3;
      if (kind === 0) {
        for (let i = at; i < Math.min(whole.length, at + 3); i++) spoilt[i] = Math.floor(next() * 256);
      }
      const head = whole.subarray(0, at), tail = whole.subarray(at + length), twice = whole.subarray(at);
      const started = performance.now();
      await readOrRefuse(
        kind === 0 ? spoilt : concatenated(...kind === 1 ? [head, tail] : [whole.subarray(0, at + length), twice]),
      );
      assert.ok(performance.now() - started < 5000, `case ${n} takes ${performance.now() - started} ms`);
    }
  }
});

Deno.test("runs: a count that is not there is refused at once, whatever it says", () => {
  const values = (bytes: number[], width: number, count: number) => {
    const all: number[] = [];
    readRuns(new PageReader(Uint8Array.from(bytes)), width, count, (value, times) => {
      for (let i = 0; i < times; i++) all.push(value);
    });
    return all;
  };
  assert.deepEqual(values([6, 5, 3, 0b10001000, 0b11000110, 0b11111010], 3, 8), [5, 5, 5, 0, 1, 2, 3, 4]);
  assert.throws(() => values([0xfe, 0xff, 0xff, 0xff, 0x0f, 1], 1, 8), /a run has 2147483647 numbers where 8 are left/);
  assert.throws(() => values([0xff, 0xff, 0xff, 0xff, 0x0f, 1], 1, 8), /numbers where 8 are left/);
  assert.throws(() => values([4, 1], 1, 8), /a page ends too soon/);
  assert.throws(() => values([], 40, 1), /numbers have 40 bits/);
  const differences = (...bytes: number[]) => [...readDifferences(new PageReader(Uint8Array.from(bytes)), 3)];
  assert.deepEqual(differences(0x80, 1, 4, 3, 14, 3, 2, 0, 0, 0, 0b0010), [7, 7, 5]);
  assert.throws(() => differences(0x80, 1, 0, 3, 14), /differences come in 0 parts of 128/);
  assert.throws(() => differences(0x80, 1, 4, 9, 14), /a page tells of 9 differences where 3 values are/);
});

Deno.test("pages: undone to the size that their header says, or refused", () => {
  const letters = (text: string) => [...text].map((letter) => letter.charCodeAt(0));
  const text = (bytes: Uint8Array) => String.fromCharCode(...bytes);
  const snappy = Uint8Array.of(12, 2 << 2, ...letters("abc"), 5 | 0 << 2, 3, 0 << 2, ...letters("d"));
  const undone = text(undoPage(snappy, "SNAPPY", 9));
  assert.equal(undone, "abcabcabd");
  const block = Uint8Array.of(0x32, ...letters("abc"), 3, 0, 0x10, ...letters("d"));
  assert.equal(text(undoPage(block, "LZ4_RAW", 10)), "abcabcabcd");
  const hadoop = Uint8Array.of(0, 0, 0, 10, 0, 0, 0, block.length, ...block);
  assert.equal(text(undoPage(concatenated(hadoop, hadoop), "LZ4", 20)), "abcabcabcdabcabcabcd");
  assert.equal(text(undoPage(block, "LZ4", 10)), "abcabcabcd");
  for (const [codec, page] of [["SNAPPY", snappy], ["LZ4_RAW", block], ["LZ4", hadoop]] as const) {
    for (const size of [0, 3, 8, 11, 1000]) assert.throws(() => undoPage(page, codec, size), RangeError, codec);
    for (let end = 1; end < page.length; end++) {
      assert.throws(
        () => undoPage(page.subarray(0, end), codec, codec === "SNAPPY" ? 9 : 10),
        RangeError,
        `${codec} ${end}`,
      );
    }
  }
  // A copy from before the beginning, and a size that is negative as a signed number.
  assert.throws(() => undoPage(Uint8Array.of(4, 5, 9), "SNAPPY", 5), RangeError);
  assert.throws(() => undoPage(Uint8Array.of(0, 0, 0, 0, 255, 255, 255, 248), "LZ4", 4), RangeError);
  assert.throws(() => undoPage(Uint8Array.of(), "LZO", 4), /pages compressed as LZO are not read/);
  assert.deepEqual(Object.keys(PAGE_CODECS).sort(), ["BROTLI", "GZIP", "LZ4", "LZ4_RAW", "SNAPPY", "ZSTD"]);
});
