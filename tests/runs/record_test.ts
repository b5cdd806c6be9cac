/** record.safetensors: what is written is read, and what cannot be is refused in one sentence. */

import assert from "node:assert/strict";
import { join } from "node:path";
import type { FeatureRecord } from "../../core/analysis/record.ts";
import { UserError } from "../../core/errors.ts";
import { readingTokens, readRecord, RECORD_FILE, writeRecord } from "../../core/runs/record.ts";
import { inDirectory } from "../cli/tiny_run.ts";
import { randomTranscoder } from "../transcoder/random_transcoder.ts";

const transcoder = randomTranscoder({ d_in: 4, d_out: 4, groups: [2, 3] }, 0.5, 1);

const record: FeatureRecord = {
  groups: [2, 3],
  context: 4,
  documents: [{ name: "a.txt", split: "train" }, { name: "b.txt", split: "test" }],
  place: Uint32Array.of(1, 2, 3, 5),
  id: Uint32Array.of(9, 4000, 2, 9),
  tokenTexts: new Map([[2, "<bos>"], [9, " \u00e9\n"], [4000, "\u{1f600}"]]),
  document: Uint32Array.of(0, 0, 0, 1),
  position: Uint32Array.of(60, 61, 62, 0),
  rowStart: Uint32Array.of(0, 2, 2, 3, 5),
  index: Uint32Array.of(1, 4, 0, 0, 3),
  value: Float32Array.of(0.5, 2, 1, 3, 0.25),
  targetSquares: Float32Array.of(4, 3, 2, 1),
  residualSquares: Float32Array.of(4, 3, 3, 3, 2, 1, 1, 0),
  targetVariation: 9.123456789012345,
  errorRemoved: Float32Array.of(1, 2, -1, 3, 0, 4, 0, 0, 0, 1),
};

/** Writes a record with changes and says how reading it is refused; null where it is not. */
async function refusal(changes: Partial<FeatureRecord>): Promise<string | null> {
  let message: string | null = null;
  await inDirectory(async (directory) => {
    await writeRecord(directory, transcoder, { ...record, ...changes });
    message = await readRecord(directory, transcoder).then(() => null, (error) => {
      assert.ok(error instanceof UserError, String(error));
      return error.message;
    });
  });
  return message;
}

Deno.test("what is written is read, float for float", () =>
  inDirectory(async (directory) => {
    assert.equal(await readRecord(directory, transcoder), null);
    await writeRecord(directory, transcoder, record);
    assert.deepEqual(await readRecord(directory, transcoder), record);
    const { size } = await Deno.stat(join(directory, RECORD_FILE));
    await writeRecord(directory, transcoder, record);
    assert.equal((await Deno.stat(join(directory, RECORD_FILE))).size, size);
  }));

Deno.test("a record of what the transcoder was before is none", () =>
  inDirectory(async (directory) => {
    await writeRecord(directory, transcoder, record);
    const further = {
      ...transcoder,
      thresholds: transcoder.thresholds.map((threshold, i) => i === 4 ? 0.75 : threshold),
    };
    assert.equal(await readRecord(directory, further), null);
    assert.equal(await readRecord(directory, randomTranscoder(transcoder.shape, 0.5, 2)), null);
  }));

Deno.test("every number is held against what it can be", async () => {
  const u32 = (...values: number[]) => Uint32Array.from(values),
    f32 = (...values: number[]) => Float32Array.from(values);
  const refused: [Partial<FeatureRecord>, RegExp][] = [
    [{ place: u32(1, 2, 2, 5) }, /each number of place must be more than the one before it, number 2 is 2;/],
    [{ document: u32(0, 0, 0, 2) }, /each number of document must be one of 2 documents, number 3 is 2;/],
    [{ rowStart: u32(1, 2, 2, 3, 5) }, /each number of row_start must be .*, number 0 is 1;/],
    [{ rowStart: u32(0, 2, 1, 3, 5) }, /each number of row_start must be .*, number 2 is 1;/],
    [{ rowStart: u32(0, 2, 2, 3, 4) }, /each number of row_start must be .*, number 4 is 4;/],
    [{ rowStart: u32(0, 2, 2, 9, 5) }, /each number of row_start must be .*, number 3 is 9;/],
    [{ rowStart: u32(0, 2, 2, 5) }, /row_start must be \[5\], it is \[4\];/],
    [{ index: u32(1, 5, 0, 0, 3) }, /each number of index must be a feature below 5, .*, number 1 is 5;/],
    [{ index: u32(4, 1, 0, 0, 3) }, /each number of index must be .*, number 1 is 1;/],
    [{ index: u32(1, 1, 0, 0, 3) }, /each number of index must be .*, number 1 is 1;/],
    [{ value: f32(0.5, 0, 1, 3, 1) }, /each number of value must be above 0 and finite, number 1 is 0;/],
    [{ value: f32(0.5, 1, 1, 3, NaN) }, /each number of value must be above 0 and finite, number 4 is NaN;/],
    [
      { targetSquares: f32(1, -1, 1, 1) },
      /each number of target.squares must be 0 or more and finite, number 1 is -1;/,
    ],
    [
      { residualSquares: f32(4, 3, 3, 3, 2, 1, 1, Infinity) },
      /each number of residual.squares .*, number 7 is Infinity;/,
    ],
    [{ errorRemoved: f32(1, 2, NaN, 3, 0, 4, 0, 0, 0, 1) }, /each number of error_removed .*, number 2 is NaN;/],
    [{ errorRemoved: f32(1, 2) }, /error_removed must be \[5, 2\], it is \[1, 2\];/],
    [{ targetVariation: NaN }, /its target_variation must be a number from 0, it is NaN;/],
    [{ context: 1 }, /its context must be at least 2, it is 1;/],
    [
      { tokenTexts: new Map([[2, "a"], [9, "b"]]) },
      /each number of id must be a token whose text is known, number 1 is 4000;/,
    ],
    [{ documents: [] }, /one of 0 documents/],
  ];
  for (const [changes, message] of refused) {
    const found = await refusal(changes);
    assert.match(found ?? "it is read", message, JSON.stringify(changes));
    assert.match(found!, /^Cannot read .*record\.safetensors: .*; delete it, `mtc analyze` makes it anew/);
  }
  assert.equal(await refusal({ value: f32(0.5, 1e-30, 1, 3, 3e38) }), null);
});

Deno.test("a file that is cut off or none at all is refused", () =>
  inDirectory(async (directory) => {
    await writeRecord(directory, transcoder, record);
    const path = join(directory, RECORD_FILE), bytes = await Deno.readFile(path);
    await Deno.writeFile(path, bytes.subarray(0, bytes.length - 4));
    await assert.rejects(readRecord(directory, transcoder), UserError);
    await Deno.writeTextFile(path, "no record");
    await assert.rejects(readRecord(directory, transcoder), UserError);
  }));

Deno.test("the reading set of a large text has 131,072 tokens, the embedded one's 32,768", () => {
  assert.equal(readingTokens({ data: { files: ["a.txt"] } }), 131_072);
  assert.equal(readingTokens({ data: { files: [] } }), 32_768);
});
