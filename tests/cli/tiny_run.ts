/** Finished runs of random transcoders on the embedded model, and the command line called in this process. */

import { join } from "node:path";
import { openCorpus } from "../../core/text/corpus.ts";
import { type TranscoderConfig, writeConfig } from "../../core/runs/config.ts";
import { saveTranscoder } from "../../core/transcoder/formats/native.ts";
import { main } from "../../main.ts";
import { randomTranscoder } from "../transcoder/random_transcoder.ts";

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Calls the program as `mtc ARGS...` would, but for the process. */
export async function mtc(...args: string[]): Promise<Outcome> {
  const { log, error } = console;
  const stdout: string[] = [], stderr: string[] = [];
  console.log = (...parts) => stdout.push(parts.join(" "));
  console.error = (...parts) => stderr.push(parts.join(" "));
  try {
    return { code: await main(args), stdout: stdout.join("\n"), stderr: stderr.join("\n") };
  } finally {
    Object.assign(console, { log, error });
  }
}

const { summary } = await openCorpus("builtin", "test");

export const GROUPS = [12, 20];
export const CONTEXT = 16;

function config(layer: number, changes: Partial<TranscoderConfig>): TranscoderConfig {
  return {
    ...{ format: 2, mtc_version: "0.1.0", adapter: "test", created: "2026-01-02T03:04:05.000Z", layer },
    model: { name: "tiny-gemma2", path: null, layers: 6, d_model: 128, vocab_size: 4096 },
    data: { name: "State of the Union", files: [], ...summary },
    source: { layer, site: "resid_mid" },
    targets: [{ layer, site: "mlp_out" }],
    ...{
      d_in: 128,
      d_out: 128,
      features: 32,
      groups: GROUPS,
      k: 4,
      steps: 10,
      batch_tokens: 64,
      context: CONTEXT,
      seed: 1,
      data_seed: 1,
    },
    ...{ learning_rate: 3e-4, warmup_steps: 1, final_lr_fraction: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8 },
    ...{ aux_weight: 1 / 32, aux_k: 4, dead_after_tokens: 1000, threshold_rate: 0.01, passes: 1, buffer_tokens: 1024 },
    ...{ log_every: 1, checkpoint_every: 10, sample_every: 10, samples_per_feature: 2, sample_threshold: 0.1 },
    ...{
      sample_tokens: 640,
      evaluation_tokens: 300,
      loss_tokens: 0,
      include_bos: false,
      exclude_tokens: [],
      exclude_norm_above: 0,
      encoder_norm: 0.3,
      encoder_bias_rate: 1,
      whole_weight: 1,
      revival_rate: 0,
      skip: false,
    },
    ...{ precision: "f32" as const, tiles: {}, precision_errors: {} },
    ...changes,
  };
}

/** Writes one finished layer into `run`: config.json and transcoder.safetensors; returns its directory. */
export async function writeTinyLayer(
  run: string,
  layer: number,
  changes: Partial<TranscoderConfig> = {},
  thresholds: number | Float32Array<ArrayBuffer> = 0.5,
): Promise<string> {
  const directory = join(run, `layer${layer}`);
  await Deno.mkdir(directory, { recursive: true });
  await writeConfig(directory, config(layer, changes));
  const shape = { d_in: 128, d_out: 128, groups: GROUPS };
  await saveTranscoder(join(directory, "transcoder.safetensors"), randomTranscoder(shape, thresholds, layer));
  return directory;
}

/** Runs a test with a directory of its own. */
export async function inDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
