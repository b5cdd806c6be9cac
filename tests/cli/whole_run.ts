/**
 * One run of `mtc train` whose figures are known: both layers of the embedded default at half its sizes, two buffers.
 * Biases that move faster and an auxiliary loss that is weaker than the default's leave it dead features. It is trained
 * once for all test files of one `./run test`, or for a file that is run alone.
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { csvParse } from "d3-dsv";
import { openSafetensors } from "../../core/files/safetensors.ts";
import { inTurn } from "../in_turn.ts";
import { mtc } from "./tiny_run.ts";

/** Steps of the run, and how many of them each of its two buffers serves. */
export const STEPS = 120, STEPS_PER_BUFFER = 60;
/** The sampled steps. Those of the last two have a checkpoint that was kept. */
export const SAMPLED_STEPS: readonly number[] = [40, 80, 120];
/** Tokens per step, and how often each is drawn from its buffer. */
export const BATCH = 512, PASSES = 6;
/** Tokens per context, BOS included. */
export const CONTEXT = 64;
/** Features, the ends of the prefixes, and features kept per token. */
export const FEATURES = 256, PREFIXES: readonly number[] = [64, 192, 256], K = 16;
/**
 * The most samples of a feature, and the least activation of a sample: above the inference threshold, so that some are
 * left out.
 */
export const SAMPLES = 20, SAMPLE_THRESHOLD = 0.75;
/** Tokens asked for of the final pass, and of the held-out text. */
export const FINAL_TOKENS = 8192;
/**
 * The seed of the run, not that of the default; the final pass reads the training text in the order of the next one.
 */
export const SEED = 3;
/** Layers that transcoders are trained for, from resid_mid to mlp_out. */
export const LAYERS: readonly number[] = [2, 4];
/** Width of source and target. */
export const WIDTH = 128;

const SETTINGS: readonly string[] = [
  ...["--layers", LAYERS.join(), "--steps", `${STEPS}`, "--batch", `${BATCH}`, "--groups", "64,128,64", "--k", `${K}`],
  ...["--context", `${CONTEXT}`, "--buffer", "8192", "--passes", `${PASSES}`, "--seed", `${SEED}`],
  // The recipe for which the figures are known, whatever the default becomes.
  ...[
    "--learning-rate",
    "8e-3",
    "--beta2",
    "0.99",
    "--whole-weight",
    "1",
    "--revival-rate",
    "0",
    "--dead-after",
    "20480",
  ],
  ...[
    "--aux-weight",
    "0.03125",
    "--bias-rate",
    "40",
    "--checkpoint-every",
    "40",
    "--sample-every",
    "40",
    "--log-every",
    "10",
  ],
  ...["--samples", `${SAMPLES}`, "--sample-threshold", `${SAMPLE_THRESHOLD}`],
  ...["--sample-tokens", `${FINAL_TOKENS}`, "--evaluation-tokens", `${FINAL_TOKENS}`],
];

/** A directory that outlives this file's tests, where `./run test` made one. */
const shared = Deno.env.get("MTC_TEST_SHARED");
const parent = shared ?? await Deno.makeTempDir();
if (shared === undefined) globalThis.addEventListener("unload", () => Deno.removeSync(parent, { recursive: true }));

/** The run's directory; not to be written to. */
export const WHOLE_RUN: string = join(parent, "whole");
/** What training it printed on stderr. */
export const WHOLE_RUN_SAID: string = await trained();

/** Trains the run where no other file has. */
async function trained(): Promise<string> {
  using _turn = await inTurn(import.meta.url);
  const said = join(WHOLE_RUN, "stderr.txt");
  try {
    return await Deno.readTextFile(said);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const own = await Deno.makeTempDir({ dir: parent });
  const { code, stderr } = await mtc("train", ...SETTINGS, "--runs", own, "--name", "whole");
  assert.equal(code, 0, stderr);
  await Deno.writeTextFile(join(own, "whole", "stderr.txt"), stderr);
  await Deno.rename(join(own, "whole"), WHOLE_RUN);
  await Deno.remove(own, { recursive: true });
  return stderr;
}

/** The path of a layer's file. */
export function fileOf(layer: number, ...name: string[]): string {
  return join(WHOLE_RUN, `layer${layer}`, ...name);
}

/** A layer's JSON file. */
export async function readJson(layer: number, name: string) {
  return JSON.parse(await Deno.readTextFile(fileOf(layer, name)));
}

/** The rows of a layer's CSV file, cells as text. */
export async function readTable(layer: number, name: string): Promise<Record<string, string>[]> {
  return csvParse(await Deno.readTextFile(fileOf(layer, name)));
}

/** The lines of a layer's JSON Lines file. */
export async function readLines(layer: number, name: string) {
  return (await Deno.readTextFile(fileOf(layer, name))).trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** Some float32 tensors of a safetensors file. */
export async function readTensors(path: string, ...tensors: string[]): Promise<Float32Array[]> {
  const file = await openSafetensors(path);
  try {
    return await Promise.all(tensors.map((name) => file.readF32(name)));
  } finally {
    await file.close();
  }
}
