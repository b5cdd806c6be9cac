/** A transcoder as the files of each tool that mtc imports: by path in a directory. */

import { writeSafetensors } from "../../../core/files/safetensors.ts";
import { featureCount } from "../../../core/transcoder/shape.ts";
import { transposed } from "../../../core/files/transposed.ts";
import type { Transcoder } from "../../../core/transcoder/weights.ts";
import { npz } from "../../files/npz_writer.ts";

/** A tensor of a file. */
export interface Tensor {
  shape: number[];
  data: Float32Array;
}

/** The tensors of a file by name, and the text files beside it. */
export interface ForeignFiles {
  /** The file with the weights. */
  weights: string;
  tensors: Record<string, Tensor>;
  texts: Record<string, string>;
}

const json = (value: unknown) => JSON.stringify(value);

/** params.npz of Gemma Scope, whose W_enc is for what lies before the gain. */
export function gemmaScope({ shape: { d_in, d_out, groups }, weights, thresholds }: Transcoder): ForeignFiles {
  const features = featureCount(groups);
  return {
    weights: "params.npz",
    tensors: {
      W_enc: { shape: [d_in, features], data: transposed(weights.encoder, features, d_in) },
      W_dec: { shape: [features, d_out], data: weights.decoder },
      b_enc: { shape: [features], data: weights.encoderBias },
      b_dec: { shape: [d_out], data: weights.decoderBias },
      threshold: { shape: [features], data: thresholds },
    },
    texts: {},
  };
}

/** params.safetensors of Gemma Scope 2. */
export function gemmaScope2(transcoder: Transcoder, layer = 4): ForeignFiles {
  const { W_enc, W_dec, ...rest } = gemmaScope(transcoder).tensors, { weights: { skip }, shape } = transcoder;
  const connection = skip && { affine_skip_connection: { shape: [shape.d_in, shape.d_out], data: skip } };
  const at = `model.layers.${layer}`;
  const config = {
    ...{ architecture: "jump_relu", model_name: "gemma-v3-270m-pt" },
    ...{
      hf_hook_point_in: `${at}.pre_feedforward_layernorm.output`,
      hf_hook_point_out: `${at}.post_feedforward_layernorm.output`,
    },
  };
  return {
    weights: "params.safetensors",
    tensors: { w_enc: W_enc, w_dec: W_dec, ...rest, ...connection },
    texts: { "config.json": json(config) },
  };
}

/** SAELens' directory. */
export function saelens(transcoder: Transcoder, architecture: string, metadata: object = {}): ForeignFiles {
  const { threshold, ...rest } = gemmaScope(transcoder).tensors, { weights: { skip }, shape } = transcoder;
  const config = {
    ...{ architecture, d_in: shape.d_in, d_out: shape.d_out, d_sae: featureCount(shape.groups), dtype: "float32" },
    ...{ apply_b_dec_to_input: false, normalize_activations: "none" },
    metadata: { hook_name: "blocks.4.hook_resid_mid", hook_name_out: "blocks.4.hook_mlp_out", ...metadata },
  };
  return {
    weights: "sae_weights.safetensors",
    tensors: {
      ...rest,
      ...architecture.startsWith("jumprelu") && { threshold },
      ...skip && { W_skip: { shape: [shape.d_out, shape.d_in], data: transposed(skip, shape.d_in, shape.d_out) } },
    },
    texts: { "cfg.json": json(config) },
  };
}

/** sparsify's directory. */
export function sparsify({ shape: { d_in, d_out, groups }, weights }: Transcoder, k: number): ForeignFiles {
  const features = featureCount(groups), { skip } = weights;
  return {
    weights: "sae.safetensors",
    tensors: {
      "encoder.weight": { shape: [features, d_in], data: weights.encoder },
      "encoder.bias": { shape: [features], data: weights.encoderBias },
      W_dec: { shape: [features, d_out], data: weights.decoder },
      b_dec: { shape: [d_out], data: weights.decoderBias },
      ...skip && { W_skip: { shape: [d_out, d_in], data: transposed(skip, d_in, d_out) } },
    },
    texts: {
      "cfg.json": json({
        activation: "topk",
        num_latents: features,
        k,
        d_in,
        transcode: true,
        skip_connection: skip !== undefined,
      }),
    },
  };
}

/** A layer of circuit-tracer's set. */
export function circuitTracer(transcoder: Transcoder, more = ""): ForeignFiles {
  const { shape: { d_in, d_out, groups }, weights: { encoder, skip }, thresholds } = transcoder,
    features = featureCount(groups);
  const { W_dec, b_enc, b_dec } = gemmaScope(transcoder).tensors;
  return {
    weights: "layer_4.safetensors",
    tensors: {
      W_enc: { shape: [features, d_in], data: encoder },
      ...{ W_dec, b_enc, b_dec },
      "activation_function.threshold": { shape: [features], data: thresholds },
      ...skip && { W_skip: { shape: [d_out, d_in], data: transposed(skip, d_in, d_out) } },
    },
    texts: {
      "config.yaml":
        `# a set\nmodel_kind: transcoder_set\nfeature_input_hook: "hook_resid_mid"\nfeature_output_hook: hook_mlp_out\n${more}`,
    },
  };
}

/** Writes files into a directory. */
export async function writeForeign(directory: string, { weights, tensors, texts }: ForeignFiles): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  for (const [name, text] of Object.entries(texts)) await Deno.writeTextFile(`${directory}/${name}`, text);
  const path = `${directory}/${weights}`;
  if (weights.endsWith(".npz")) return await Deno.writeFile(path, npz(tensors, true));
  await writeSafetensors(path, Object.entries(tensors).map(([name, tensor]) => ({ name, dtype: "F32", ...tensor })));
}
