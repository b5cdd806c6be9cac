import assert from "node:assert/strict";
import { type Reason, UserError } from "../../../core/errors.ts";
import { openSafetensors, writeSafetensors } from "../../../core/files/safetensors.ts";
import { loadTranscoder, saveTranscoder, storedTranscoder } from "../../../core/transcoder/formats/native.ts";
import { onMatrix } from "../../../core/transcoder/weights.ts";
import { randomTranscoder } from "../random_transcoder.ts";

const shape = { d_in: 5, d_out: 3, groups: [4, 2, 1] };
const transcoder = randomTranscoder(shape, 0.75, 1);

async function inFile(use: (path: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await use(`${directory}/transcoder.safetensors`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a saved transcoder loads bit for bit, and the same one saves to the same bytes", () =>
  inFile(async (path) => {
    const save = () => saveTranscoder(path, transcoder, { run: "demo" });
    await save();
    const bytes = await Deno.readFile(path);
    assert.deepEqual(await loadTranscoder(path), transcoder);
    await save();
    assert.deepEqual(await Deno.readFile(path), bytes);
  }));

Deno.test("a stored one reads each matrix whenever it is asked for, a copy of the caller's own, and says when the file is another", () =>
  inFile(async (path) => {
    await saveTranscoder(path, transcoder);
    const stored = await storedTranscoder(path), { encoder, decoder, ...vectors } = transcoder.weights;
    assert.deepEqual([stored.shape, stored.weights, stored.thresholds], [shape, vectors, transcoder.thresholds]);
    let taken: Float32Array | null = null;
    const sum = await onMatrix(stored, "encoder", (rows) => {
      assert.deepEqual(rows, encoder);
      taken = rows.fill(7);
      return rows.length;
    });
    assert.deepEqual([sum, taken!.length], [encoder.length, 0], "it is let go");
    assert.deepEqual([await stored.read("encoder"), await stored.read("decoder")], [encoder, decoder]);
    await saveTranscoder(path, randomTranscoder({ ...shape, d_in: 6 }, 0.75, 1));
    await assert.rejects(stored.read("decoder"), /d_in, features, d_out must stay 5, 7, 3.*they are 6, 7, 3 now/);
  }));

Deno.test("an encoder is turned part by part, and a number that is none is found in any of them", () =>
  inFile(async (path) => {
    // Parts have a million elements: 52 columns of these features at most.
    const wide = randomTranscoder({ d_in: 130, d_out: 1, groups: [20_000] }, 0.75, 1);
    await saveTranscoder(path, wide);
    assert.deepEqual((await loadTranscoder(path)).weights.encoder, wide.weights.encoder);
    wide.weights.encoder[3 * 130 + 129] = NaN;
    await saveTranscoder(path, wide);
    await assert.rejects(loadTranscoder(path), new RegExp(`element ${129 * 20_000 + 3} of W_enc is NaN`));
  }));

Deno.test("a skip connection is kept, in the file as SAELens has it: W_skip [d_out, d_in]", () =>
  inFile(async (path) => {
    const skipping = randomTranscoder({ ...shape, skip: true }, 0.75, 1);
    await saveTranscoder(path, skipping);
    assert.deepEqual(await loadTranscoder(path), skipping);
    const file = await openSafetensors(path), skip = await file.readF32("W_skip");
    assert.deepEqual(file.info("W_skip").shape, [3, 5]);
    for (let i = 0; i < 5; i++) {
      for (let c = 0; c < 3; c++) assert.equal(skip[c * 5 + i], skipping.weights.skip![i * 3 + c]);
    }
    await file.close();
  }));

Deno.test("each feature keeps a threshold of its own: below 0, 0, and the infinity of one that is never active", () =>
  inFile(async (path) => {
    const thresholds = Float32Array.of(-1, 0, 0.5, Infinity, 1e-30, 0.5, -Infinity);
    await saveTranscoder(path, { ...transcoder, thresholds });
    assert.deepEqual((await loadTranscoder(path)).thresholds, thresholds);
  }));

Deno.test("the file has SAELens' keys and shapes, W_enc as [d_in, F]", () =>
  inFile(async (path) => {
    await saveTranscoder(path, transcoder);
    const file = await openSafetensors(path);
    assert.deepEqual(
      Object.fromEntries([...file.tensors].map(([name, info]) => [name, [info.dtype, ...info.shape]])),
      {
        W_enc: ["F32", 5, 7],
        b_enc: ["F32", 7],
        W_dec: ["F32", 7, 3],
        b_dec: ["F32", 3],
        threshold: ["F32", 7],
      },
    );
    const encoder = await file.readF32("W_enc");
    for (let i = 0; i < 7; i++) {
      for (let d = 0; d < 5; d++) assert.equal(encoder[d * 7 + i], transcoder.weights.encoder[i * 5 + d]);
    }
    assert.deepEqual(await file.readF32("threshold"), new Float32Array(7).fill(0.75));
    await file.close();
  }));

const tensor = (name: string, extents: number[], fill = 1) => ({
  name,
  dtype: "F32" as const,
  shape: extents,
  data: new Float32Array(extents.reduce((a, b) => a * b, 1)).fill(fill),
});
const sound = () => [
  tensor("W_enc", [5, 7]),
  tensor("b_enc", [7]),
  tensor("W_dec", [7, 3]),
  tensor("b_dec", [3]),
  tensor("threshold", [7], 0.5),
];
const withOne = (tensors: ReturnType<typeof sound>, other: ReturnType<typeof tensor>) =>
  tensors.map((one) => one.name === other.name ? other : one);
const replaced = (other: ReturnType<typeof tensor>) => withOne(sound(), other);

Deno.test("a diagnosis loads what is not finite", () =>
  inFile(async (path) => {
    await writeSafetensors(path, [broken, unbounded, noNumber].reduce(withOne, sound()));
    const { weights, thresholds } = await loadTranscoder(path, true);
    assert.deepEqual([weights.decoder, weights.encoderBias, thresholds], [broken.data, unbounded.data, noNumber.data]);
  }));

Deno.test("a file without groups is one group", () =>
  inFile(async (path) => {
    await writeSafetensors(path, sound());
    assert.deepEqual((await loadTranscoder(path)).shape, { d_in: 5, d_out: 3, groups: [7] });
  }));

const ALL = "it must hold W_enc, b_enc, W_dec, b_dec, threshold, perhaps W_skip, and nothing else";
const ELSEWHERE = "export it again from where it was trained";
const noNumber = tensor("threshold", [7], 0.5);
noNumber.data[3] = NaN;
const broken = tensor("W_dec", [7, 3]);
broken.data[4] = NaN;
const unbounded = tensor("b_enc", [7]);
unbounded.data[1] = -Infinity;
/** What is wrong with a file without metadata, and what is said of it. */
const FAULTS: [fault: string, tensors: ReturnType<typeof sound>, requirement: string, found: string][] = [
  ["a missing tensor", sound().slice(0, 4), ALL, "it has no threshold"],
  ["an extra tensor", [...sound(), tensor("W_gate", [5, 3])], ALL, 'it also holds "W_gate"'],
  [
    "a decoder of another dictionary",
    replaced(tensor("W_dec", [6, 3])),
    "W_dec must be [7, 3] like the others",
    "it is [6, 3]",
  ],
  ["a bias of another width", replaced(tensor("b_dec", [4])), "b_dec must be [3] like the others", "it is [4]"],
  [
    "an encoder that is no matrix",
    replaced(tensor("W_enc", [35])),
    "W_enc and W_dec must be matrices",
    "they are [35] and [7, 3]",
  ],
  [
    "a target without width",
    replaced(tensor("W_dec", [7, 0])).map((one) => one.name === "b_dec" ? tensor("b_dec", [0]) : one),
    "its sizes must be positive",
    "d_in, features, d_out are 5, 7, 0",
  ],
  ["NaN", replaced(broken), "every weight must be finite", "element 4 of W_dec is NaN"],
  ["infinity", replaced(unbounded), "every weight must be finite", "element 1 of b_enc is -Infinity"],
  [
    "a threshold that is no number",
    replaced(noNumber),
    "every threshold must be a number",
    "element 3 of threshold is NaN",
  ],
];

for (const [fault, tensors, requirement, found] of FAULTS) {
  Deno.test(`loading is refused, with what can be done about a foreign file and one of ours: ${fault}`, () =>
    inFile(async (path) => {
      const foreign = { action: `use the transcoder ${path}`, requirement, found, remedy: ELSEWHERE };
      await writeSafetensors(path, tensors);
      await assertRefused(path, foreign);
      await writeSafetensors(path, tensors, { groups: "[7]" });
      await assertRefused(path, { ...foreign, remedy: "train it again" });
    }));
}

for (const groups of ["[4,2]", "seven", "[7,0]"]) {
  Deno.test(`loading is refused: groups ${groups}`, () =>
    inFile(async (path) => {
      await writeSafetensors(path, sound(), { groups });
      await assertRefused(path, {
        action: `use the transcoder ${path}`,
        requirement: "its groups must be sizes that add up to 7 features",
        found: `they are ${groups}`,
        remedy: "train it again",
      });
    }));
}

async function assertRefused(path: string, parts: Reason): Promise<void> {
  await assert.rejects(loadTranscoder(path), (error: Error) => {
    assert.ok(error instanceof UserError);
    assert.deepEqual(error.parts, parts);
    return true;
  });
}
