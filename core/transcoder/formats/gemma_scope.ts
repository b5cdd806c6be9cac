/**
 * Gemma Scope's transcoders: those of Gemma 2, params.npz, and those of Gemma 3 (Gemma Scope 2), params.safetensors with config.json beside it.
 *
 * Those of Gemma 2 read the residual stream normed before the gain of the norm (`ln2.hook_normalized`) and write `hook_mlp_out`; nothing in the file
 * says so. Its W_enc is [d, F], and all are jump-ReLU: relu(a) where a is above its feature's threshold, strictly.
 * @module
 */

import { basename, dirname, join } from "node:path";
import * as v from "valibot";
import { UserError } from "../../errors.ts";
import { exists } from "../../files/exists.ts";
import { openNpz } from "../../files/npz.ts";
import { openSafetensors } from "../../files/safetensors.ts";
import {
  type ForeignTranscoder,
  type Layout,
  readLayout,
  shapeOf,
  type TensorFile,
  unusableForeign,
} from "./layout.ts";
import { readSmallJson } from "./small_json.ts";

/** The names of the files. */
export const GEMMA_SCOPE_WEIGHTS = "params.npz", GEMMA_SCOPE_2_WEIGHTS = "params.safetensors";
const CONFIG = "config.json";

const LAYOUT: Layout = {
  encoder: { name: "W_enc", axes: "input, features" },
  encoderBias: "b_enc",
  decoder: "W_dec",
  decoderBias: "b_dec",
  threshold: { name: "threshold" },
  skip: null,
};
const LAYOUT_2: Layout = {
  encoder: { name: "w_enc", axes: "input, features" },
  encoderBias: "b_enc",
  decoder: "w_dec",
  decoderBias: "b_dec",
  threshold: { name: "threshold" },
  skip: { name: "affine_skip_connection", axes: "input, output" },
};

/** `layer_17/width_16k/average_l0_41` of the first release, `layer_12_width_16k_l0_small` of the second. */
const LAYER = /layer_(\d+)/;

/**
 * The layer that the folders of a release name.
 *
 * @param path A file in them.
 * @returns The innermost name's; null where none does.
 */
export function layerOfPath(path: string): number | null {
  for (let folder = path; dirname(folder) !== folder; folder = dirname(folder)) {
    const [, layer] = LAYER.exec(basename(folder)) ?? [];
    if (layer !== undefined) return Number(layer);
  }
  return null;
}

/**
 * Opens a transcoder of Gemma Scope for Gemma 2.
 *
 * @param path Its params.npz.
 * @returns It, read before the norm's gain.
 * @throws {UserError} When the file is damaged, holds other arrays, or these do not fit each other.
 */
export async function openGemmaScope(path: string): Promise<ForeignTranscoder> {
  const file = await openNpz(path),
    remark = "params.npz names no hooks: it is taken to read ln2.hook_normalized and to " +
      "write hook_mlp_out, as Gemma Scope's transcoders do.";
  return await jumpRelu(file, LAYOUT, {
    ...{ tool: "gemma-scope", source: "ln2.hook_normalized", target: "hook_mlp_out" },
    ...{ layer: layerOfPath(path), model: null, remarks: [remark] },
  });
}

const schema = v.object({
  architecture: v.optional(v.string(), "jump_relu"),
  model_name: v.optional(v.string()),
  hf_hook_point_in: v.string(),
  hf_hook_point_out: v.optional(v.string()),
});

/**
 * Opens a transcoder of Gemma Scope 2, for Gemma 3.
 *
 * @param path Its params.safetensors; config.json lies beside it.
 * @returns It.
 * @throws {UserError} As {@link openGemmaScope}, or when config.json says that it is something else.
 */
export async function openGemmaScope2(path: string): Promise<ForeignTranscoder> {
  const place = join(dirname(path), CONFIG);
  if (!await exists(place)) {
    throw new UserError({
      action: `import ${path}`,
      requirement: `${CONFIG} must lie beside it and say what it reads`,
      found: "there is none",
      remedy: "copy it there from where the weights are from",
    });
  }
  const config = await readSmallJson(place, v.safeParser(schema));
  const refuse = (requirement: string, found: string) =>
    new UserError({ action: `import ${path}`, requirement, found, remedy: "choose a transcoder of the release" });
  if (config.architecture !== "jump_relu") {
    throw refuse(`the architecture in ${CONFIG} must be "jump_relu"`, `it is "${config.architecture}"`);
  }
  if (config.hf_hook_point_out === undefined || config.hf_hook_point_out === config.hf_hook_point_in) {
    throw refuse(`${CONFIG} must name hf_hook_point_out`, "it does not: this is an autoencoder of one place");
  }
  return await jumpRelu(await openSafetensors(path), LAYOUT_2, {
    ...{ tool: "gemma-scope-2", source: config.hf_hook_point_in, target: config.hf_hook_point_out },
    ...{ layer: layerOfPath(path), model: config.model_name ?? null, remarks: [] },
  });
}

type Known = Pick<ForeignTranscoder, "tool" | "source" | "target" | "layer" | "model" | "remarks">;

async function jumpRelu(file: TensorFile, layout: Layout, known: Known): Promise<ForeignTranscoder> {
  const unusable = unusableForeign(file.path);
  try {
    const shape = shapeOf(file, layout, unusable);
    return {
      ...known,
      ...{ weightsPath: file.path, shape, activation: "jump-relu" },
      async read() {
        const { weights, thresholds } = await readLayout(file, layout, shape, unusable);
        return { shape, weights, thresholds: thresholds! };
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}
