/** Checkpoints: what is written comes back bit for bit, and a directory with a checkpoint's name is always whole. */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { SampleStore } from "../../core/analysis/samples.ts";
import { UserError } from "../../core/errors.ts";
import { openSafetensors } from "../../core/files/safetensors.ts";
import { makeTemporaryDirectory, temporaryPath } from "../../core/files/temporary.ts";
import { checkpointName, checkpointSteps } from "../../core/runs/checkpoints.ts";
import { downloadAll, openGpu, upload } from "../../core/gpu/device.ts";
import { elements } from "../../core/gpu/tensor.ts";
import { readCheckpoint, tidyTranscoder, writeCheckpoint } from "../../core/training/checkpoint.ts";
import { createTrainingState, readWeights, stateTensors } from "../../core/training/state.ts";
import { loadTranscoder } from "../../core/transcoder/formats/native.ts";
import { foldPreparation, zeroWeights } from "../../core/transcoder/weights.ts";
import type { TrainingState } from "../../core/training/step.ts";
import { names } from "../cli/small_train.ts";
import { inDirectory } from "../cli/tiny_run.ts";
import { gaussians, uniform } from "../random.ts";

const gpu = await openGpu();
const shape = { d_in: 5, d_out: 3, groups: [2, 5] }, features = 7, capacity = 4;
/** Token ids of the samples are below it. */
const VOCABULARY = 1000;
const FILES = ["optimizer.safetensors", "samples.safetensors", "state.json", "transcoder.safetensors"];

/** A state of which every element is another, special values among them. */
function filledState(seed: number): TrainingState {
  const state = createTrainingState(gpu, shape, zeroWeights(shape));
  stateTensors(state).forEach(([, tensor], i) => {
    const data = gaussians(elements(tensor.shape), seed + i);
    if (tensor.type === "u32") return upload(gpu, tensor, Uint32Array.from(data, (value) => Math.abs(value) * 2 ** 31));
    data.set([-0, 1e-45].slice(0, data.length));
    upload(gpu, tensor, data);
  });
  return state;
}

const bytesOf = (state: TrainingState) => downloadAll(gpu, stateTensors(state).map(([, tensor]) => tensor));

function filledSamples(seed: number): SampleStore {
  const store = new SampleStore(features, capacity),
    batch = {
      contexts: 1,
      context: 30,
      ids: Uint32Array.from({ length: 30 }, (_, n) => n + seed),
      document: new Uint32Array(30),
      position: Uint32Array.from({ length: 30 }, (_, n) => n),
    };
  gaussians(20, seed).forEach((value, n) => store.offer(n % 5, value, value, n, batch, 1 + n));
  return store;
}

const samplesOf = (store: SampleStore) => Array.from({ length: features }, (_, feature) => store.samples(feature));

const position = { epoch: 1, volume: 2, file: 3, record: 44, byte: 5 * 2 ** 40, section: 22, token: 333 };
const harvested = { buffers: 3, counts: { tokens: 4032, excluded_tokens: 7 } };
const progressAt = (step: number) => ({ step, position, elapsed_s: 4.25, harvested });

async function write(directory: string, step: number, state = filledState(step), samples = filledSamples(step)) {
  await writeCheckpoint(gpu, { directory, preparation, shape, stepper: { state }, samples }, progressAt(step));
}

const preparation = {
  source: { mean: Float64Array.of(1, -2, 3, 40, 0), scale: Float64Array.of(2, 0.5, 3, 4, 5) },
  target: { mean: Float64Array.of(7, 0, -1), scale: Float64Array.of(4, 4, 4) },
};
const checkpoints = (directory: string) => names(join(directory, "checkpoints"));

Deno.test("a checkpoint gives back every bit: state, samples, progress", () =>
  inDirectory(async (directory) => {
    const state = filledState(1), samples = filledSamples(1);
    await write(directory, 500, state, samples);
    assert.deepEqual(checkpoints(directory), ["step_000500"]);
    assert.deepEqual(names(join(directory, "checkpoints", "step_000500")), FILES);
    const restored = createTrainingState(gpu, shape, zeroWeights(shape)), store = new SampleStore(features, capacity);
    assert.deepEqual(await readCheckpoint(gpu, directory, 500, restored, store, VOCABULARY), progressAt(500));
    assert.deepEqual(await bytesOf(restored), await bytesOf(state));
    assert.deepEqual(samplesOf(store), samplesOf(samples));
  }));

Deno.test("a checkpoint's transcoder is that of its state, the preparation folded in", () =>
  inDirectory(async (directory) => {
    const state = filledState(3);
    await write(directory, 500, state);
    const { weights, thresholds } = await loadTranscoder(
      join(directory, "checkpoints", "step_000500", "transcoder.safetensors"),
    );
    const prepared = await readWeights(gpu, shape, state);
    assert.deepEqual(weights, foldPreparation(prepared.weights, preparation));
    assert.deepEqual(thresholds, prepared.thresholds);
  }));

Deno.test("the two newest checkpoints are kept; one of the same step is replaced", () =>
  inDirectory(async (directory) => {
    for (const step of [9, 10, 100]) await write(directory, step);
    assert.deepEqual(await checkpointSteps(directory), [100, 10]);
    assert.deepEqual(checkpoints(directory), ["step_000010", "step_000100"]);
    const state = filledState(77);
    await write(directory, 100, state);
    const restored = createTrainingState(gpu, shape, zeroWeights(shape));
    await readCheckpoint(gpu, directory, 100, restored, new SampleStore(features, capacity), VOCABULARY);
    assert.deepEqual(await bytesOf(restored), await bytesOf(state));
    assert.deepEqual(checkpoints(directory), ["step_000010", "step_000100"]);
  }));

Deno.test("what a killed process was writing or removing is no checkpoint, and is cleared away", () =>
  inDirectory(async (directory) => {
    await write(directory, 10);
    for (const step of [10, 20]) {
      const left = await makeTemporaryDirectory(join(directory, "checkpoints", checkpointName(step)));
      await Deno.writeTextFile(join(left, "state.json"), "{");
      await Deno.writeTextFile(temporaryPath(join(left, "optimizer.safetensors")), "half");
    }
    await Deno.writeTextFile(temporaryPath(join(directory, "samples.jsonl")), "half");
    assert.deepEqual(await checkpointSteps(directory), [10]);
    await tidyTranscoder(directory);
    assert.deepEqual(checkpoints(directory), ["step_000010"]);
    assert.deepEqual(names(directory), ["checkpoints"]);
  }));

/** Makes files by path. */
async function put(root: string, ...paths: string[]): Promise<void> {
  for (const path of paths) {
    await Deno.mkdir(dirname(join(root, path)), { recursive: true });
    await Deno.writeTextFile(join(root, path), "mine");
  }
}

Deno.test("what else lies among the checkpoints stays: directories, links, notes in a checkpoint, other names", () =>
  inDirectory(async (root) => {
    const directory = join(root, "layer2"), parent = join(directory, "checkpoints");
    await put(root, "elsewhere/state.json");
    await Deno.mkdir(parent, { recursive: true });
    await put(parent, ".partial/notes.txt", ".discarded/notes.txt", "step_5/state.json", "step_Infinity/state.json");
    const links = ["step_000001", ".step_000002.00000000-0000-4000-8000-000000000000.tmp"];
    for (const link of links) await Deno.symlink(join("..", "..", "elsewhere"), join(parent, link));
    await write(directory, 10);
    await put(parent, "step_000010/notes.txt");
    const before = checkpoints(directory);
    for (const step of [20, 30, 40]) await write(directory, step);
    assert.deepEqual(await checkpointSteps(directory), [40, 30, 10, 1]);
    assert.deepEqual(checkpoints(directory), [...before, "step_000030", "step_000040"].sort());
    assert.deepEqual(names(join(parent, "step_000010")), [...FILES, "notes.txt"].sort());
    for (const path of [".partial/notes.txt", ".discarded/notes.txt", "step_5/state.json", `${links[1]}/state.json`]) {
      assert.equal(await Deno.readTextFile(join(parent, path)), "mine");
    }
    assert.equal(await Deno.readTextFile(join(root, "elsewhere", "state.json")), "mine");
  }));

Deno.test("a checkpoint that is written again makes way but for what somebody put into it", () =>
  inDirectory(async (root) => {
    const directory = join(root, "layer2"), parent = join(directory, "checkpoints");
    await write(directory, 10);
    await put(parent, "step_000010/notes/today.txt");
    await write(directory, 10);
    assert.deepEqual(names(join(parent, "step_000010")), FILES);
    const [aside] = checkpoints(directory).filter((name) => name.startsWith("."));
    assert.deepEqual(names(join(parent, aside)), ["notes"]);
    assert.equal(await Deno.readTextFile(join(parent, aside, "notes", "today.txt")), "mine");
  }));

Deno.test("a checkpoint that cannot be written leaves the earlier ones and nothing of itself", () =>
  inDirectory(async (directory) => {
    await write(directory, 10);
    gpu.device.createBuffer({ label: "impossible", size: 4, usage: 0 });
    await assert.rejects(write(directory, 20), /Cannot go on with/);
    assert.deepEqual(checkpoints(directory), ["step_000010"]);
  }));

Deno.test("there are no checkpoints where there is no directory", async () => {
  assert.deepEqual(await checkpointSteps("/nowhere"), []);
  assert.equal(checkpointName(1_234_567), "step_1234567");
});

Deno.test("a checkpoint of another shape, or of another step than its name says, is refused", () =>
  inDirectory(async (directory) => {
    await write(directory, 10);
    const refuse = async (groups: number[], capacity: number, message: RegExp) => {
      const other = { ...shape, groups }, state = createTrainingState(gpu, other, zeroWeights(other));
      const store = new SampleStore(groups.reduce((a, b) => a + b), capacity);
      await assert.rejects(readCheckpoint(gpu, directory, 10, state, store, VOCABULARY), (error) => {
        assert.ok(error instanceof UserError);
        assert.match(error.message, message);
        return true;
      });
    };
    await refuse(
      [2, 6],
      capacity,
      /optimizer\.safetensors: encoder must have the 40 elements that .*config\.json asks for, it has 35; restore the config/,
    );
    await refuse(
      [2, 5],
      capacity + 1,
      /samples\.safetensors: order must have the 35 elements that .*, it has 28; restore the config\.json/,
    );
    await Deno.writeTextFile(
      join(directory, "checkpoints", "step_000010", "state.json"),
      JSON.stringify(progressAt(11)),
    );
    await refuse(
      [2, 5],
      capacity,
      /state\.json: it must hold step 10 and its place in the text, it does not: the checkpoint/,
    );
  }));

/** Reads the checkpoint of step 10 of a directory into a state of its own. */
function readTen(directory: string) {
  const state = createTrainingState(gpu, shape, zeroWeights(shape)), store = new SampleStore(features, capacity);
  return readCheckpoint(gpu, directory, 10, state, store, VOCABULARY);
}

Deno.test("a flipped bit of any file of a checkpoint is noticed, and the one before it stays to be taken", () =>
  inDirectory(async (directory) => {
    await write(directory, 9);
    await write(directory, 10);
    await readTen(directory);
    const next = uniform(31), remedy = /: the checkpoint is damaged; remove the directory .*step_000010, so that the/;
    for (const name of FILES) {
      const path = join(directory, "checkpoints", "step_000010", name), whole = await Deno.readFile(path);
      for (let n = 0; n < 12; n++) {
        const spoilt = whole.slice(), bit = Math.floor(next() * 8 * spoilt.length);
        spoilt[bit >> 3] ^= 1 << (bit & 7);
        await Deno.writeFile(path, spoilt);
        const progress = await readTen(directory).catch((error) => {
          assert.ok(error instanceof UserError, error.stack);
          assert.match(error.message, remedy);
          assert.ok(error.message.includes(name), error.message);
          return null;
        });
        // Blanks of state.json mean nothing, and the time is allowed to be another.
        if (progress) assert.deepEqual([name, { ...progress, elapsed_s: 4.25 }], ["state.json", progressAt(10)]);
      }
      await Deno.writeFile(path, whole);
    }
    await Deno.remove(join(directory, "checkpoints", "step_000010"), { recursive: true });
    assert.deepEqual(await checkpointSteps(directory), [9]);
  }));

Deno.test("a checkpoint without checksums is read, as older versions wrote it, but for numbers that cannot be", () =>
  inDirectory(async (directory) => {
    await write(directory, 10);
    const checkpoint = join(directory, "checkpoints", "step_000010"), file = (name: string) => join(checkpoint, name);
    await Deno.writeTextFile(file("state.json"), JSON.stringify(progressAt(10)));
    assert.deepEqual(await readTen(directory), progressAt(10));
    /** Overwrites the first words of a tensor for one reading. */
    const spoil = async (name: string, tensor: string, words: number[], message: RegExp) => {
      const whole = await Deno.readFile(file(name)), open = await openSafetensors(file(name));
      const spoilt = whole.slice(), { begin } = open.info(tensor);
      await open.close();
      spoilt.set(new Uint8Array(Uint32Array.from(words).buffer), begin);
      await Deno.writeFile(file(name), spoilt);
      await assert.rejects(readTen(directory), message);
      await Deno.writeFile(file(name), whole);
    };
    const nan = 0x7fc00000, optimizer = "optimizer.safetensors", samples = "samples.safetensors";
    await spoil(
      optimizer,
      "threshold",
      [nan],
      /every number of threshold must be finite, number 0 is NaN: the checkpoint/,
    );
    await spoil(optimizer, "encoder.mean", [0, 0x7f800000], /of encoder\.mean must be finite, number 1 is Infinity/);
    await spoil(
      samples,
      "counts",
      [65535],
      /counts of feature 0 must be at most 4, it is 65535: the checkpoint is damaged/,
    );
    await spoil(samples, "order", [9], /order of feature 0 must name each of its 4 slots once, place 0 is 9/);
    await spoil(samples, "order", [1, 1], /order of feature 0 .* place 1 is 1/);
    await spoil(
      samples,
      "window",
      Array(21).fill(2 ** 31 - 1),
      /window of feature 0 .* below 1000, slot 0 holds 2147483647/,
    );
    await spoil(samples, "window", Array(21).fill(0xffffffff), /slot 0 holds 4294967295/);
    await spoil(samples, "activation", [nan], /every number of activation must be finite/);
    await Deno.writeTextFile(file("state.json"), JSON.stringify({ ...progressAt(10), elapsed_s: -1 }));
    await assert.rejects(readTen(directory), /state\.json: it must hold step 10/);
  }));
