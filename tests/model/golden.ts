/** What Hugging Face computes for the golden models, and runs of ours to hold against it. */

import { openSafetensors, type SafetensorsFile } from "../../core/files/safetensors.ts";
import { downloadAll, type Gpu } from "../../core/gpu/device.ts";
import { Pass } from "../../core/gpu/run.ts";
import { BUILTIN, type ModelFiles, openModel } from "../../core/model/files.ts";
import type { Activations, Decoder, ForwardOptions } from "../../core/model/forward.ts";
import { placeOf, type Tap, tapName } from "../../core/model/sites.ts";

/** Where they lie; a model's name begins with its family's. */
export const GOLDEN: string = new URL("../golden/", import.meta.url).pathname;

/** All of them. */
export const MODELS: readonly string[] = [
  BUILTIN,
  ...["window", "shards", "uncapped", "long", "untied"].map((name) => `gemma2/${name}`),
  ...["window", "scaled", "single", "multimodal"].map((name) => `gemma3/${name}`),
];

export interface Golden {
  readonly file: SafetensorsFile;
  readonly batch: { readonly contexts: number; readonly context: number; readonly ids: Uint32Array<ArrayBuffer> };
  /** What Hugging Face computes at a tap, at the last `kept` positions of each context. */
  readonly expected: (tap: Tap) => Promise<Float32Array>;
  readonly kept: number;
}

export async function openGolden(name: string): Promise<Golden> {
  const file = await openSafetensors(`${GOLDEN}${name === BUILTIN ? "gemma2/builtin" : name}.safetensors`);
  const [contexts, context] = file.info("tokens").shape;
  const ids = Uint32Array.from(await file.read("tokens"));
  const expected = (tap: Tap) => file.readF32(tapName(placeOf(tap)));
  return { file, batch: { contexts, context, ids }, expected, kept: file.info("layer0.attn_in").shape[1] };
}

export function openGoldenModel(name: string): Promise<ModelFiles> {
  return openModel(name === BUILTIN ? BUILTIN : GOLDEN + name);
}

/** Runs one batch and reads every tap back. */
export async function activations(
  gpu: Gpu,
  model: Decoder,
  batch: Golden["batch"],
  options?: ForwardOptions,
): Promise<[Activations, Float32Array][]> {
  const pass = new Pass(gpu);
  const taps = model.forward(pass, batch, options);
  pass.submit();
  const bytes = await downloadAll(gpu, taps.map(({ tensor }) => tensor));
  return taps.map((tap, i) => [tap, new Float32Array(bytes[i], 0, tap.tokens * tap.width)]);
}

/** The last `kept` of each `context` rows. */
export function tail(values: Float32Array, context: number, kept: number, width: number): Float32Array {
  const contexts = values.length / (context * width), out = new Float32Array(contexts * kept * width);
  for (let c = 0; c < contexts; c++) {
    out.set(values.subarray((c + 1) * context * width - kept * width, (c + 1) * context * width), c * kept * width);
  }
  return out;
}
