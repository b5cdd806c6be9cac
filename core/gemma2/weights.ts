/**
 * A model's weights on the GPU, in the layout that the kernels read.
 * @module
 */

import { createTensor, type Gpu, settle, tensorFrom } from "../gpu/device.ts";
import { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { paddedColumns } from "../../wgsl/shared/matmul.ts";
import { transpose } from "../../wgsl/shared/transpose.ts";
import type { Gemma2Config } from "./config.ts";
import type { Plan } from "./plan.ts";
import type { TensorSource } from "./tensor_source.ts";

/** A linear map without bias. */
export interface Linear {
  /** f32 [inputs, outputs padded for the matrix product]. */
  readonly weight: Tensor;
  /** Width of its input. */
  readonly inputs: number;
  /** Width of its output. */
  readonly outputs: number;
}

/** What the attention branch of a layer reads. */
export interface AttentionWeights {
  /** d_model -> queries of all heads, then keys, then values of all key/value heads. */
  readonly qkv: Linear;
  /** heads * head_dim -> d_model. */
  readonly out: Linear;
  /** Gain of the post-attention norm, f32 [d_model]. */
  readonly postGain: Tensor;
}

/** What the MLP branch of a layer reads. */
export interface MlpWeights {
  /** d_model -> the gate's d_mlp columns, then the up projection's. */
  readonly gateUp: Linear;
  /** d_mlp -> d_model. */
  readonly down: Linear;
  /** Gain of the post-feedforward norm, f32 [d_model]. */
  readonly postGain: Tensor;
}

/** One layer; a part that the plan does not reach is null. */
export interface LayerWeights {
  /** Gain of the input norm, f32 [d_model]. */
  readonly attnInGain: Tensor | null;
  /** The attention branch. */
  readonly attention: AttentionWeights | null;
  /** Gain of the pre-feedforward norm, f32 [d_model]. */
  readonly mlpInGain: Tensor | null;
  /** The MLP branch. */
  readonly mlp: MlpWeights | null;
}

/**
 * Loads the parts of the layers that a plan reaches. Gains are one plus the stored weight.
 *
 * @param gpu Where to.
 * @param source The checkpoint.
 * @param config The model's sizes.
 * @param plan What is needed.
 * @returns One entry per layer that has any part.
 * @throws {UserError} When a tensor is missing, misshapen or not finite, or the GPU's memory is exhausted.
 */
export async function loadLayers(
  gpu: Gpu,
  source: TensorSource,
  config: Gemma2Config,
  plan: Plan,
): Promise<LayerWeights[]> {
  const { dModel, dMlp, headDim } = config;
  const queries = config.heads * headDim, keys = config.keyValueHeads * headDim;
  const linear = (name: string, inputs: number, parts: readonly (readonly [string, number])[]) =>
    loadLinear(gpu, source, name, inputs, parts);
  const gain = (name: string) => loadGain(gpu, source, name, dModel);

  const layers: LayerWeights[] = [];
  for (let l = 0; l < Math.max(plan.attnIn, plan.mlpIn); l++) {
    const at = `layers.${l}`;
    layers.push({
      attnInGain: l < plan.attnIn ? await gain(`${at}.input_layernorm`) : null,
      attention: l < plan.attention
        ? {
          qkv: await linear(`${at}.self_attn`, dModel, [["q_proj", queries], ["k_proj", keys], ["v_proj", keys]]),
          out: await linear(`${at}.self_attn`, queries, [["o_proj", dModel]]),
          postGain: await gain(`${at}.post_attention_layernorm`),
        }
        : null,
      mlpInGain: l < plan.mlpIn ? await gain(`${at}.pre_feedforward_layernorm`) : null,
      mlp: l < plan.mlp
        ? {
          gateUp: await linear(`${at}.mlp`, dModel, [["gate_proj", dMlp], ["up_proj", dMlp]]),
          down: await linear(`${at}.mlp`, dMlp, [["down_proj", dModel]]),
          postGain: await gain(`${at}.post_feedforward_layernorm`),
        }
        : null,
    });
    // Layer by layer, so that staging buffers do not pile up and exhausted memory shows early.
    await settle(gpu);
  }
  return layers;
}

async function loadGain(gpu: Gpu, source: TensorSource, name: string, width: number): Promise<Tensor> {
  const weight = await source.readF32(`${name}.weight`, [width]);
  return tensorFrom(gpu, `${name} gain`, [width], weight.map((w) => 1 + w));
}

/**
 * Loads projections that read the same input as one linear map, their outputs side by side. Checkpoints store [out, in], so
 * the parts are stacked as rows and turned on the GPU. This is the one place that decides how weights lie in memory.
 */
async function loadLinear(
  gpu: Gpu,
  source: TensorSource,
  prefix: string,
  inputs: number,
  parts: readonly (readonly [name: string, outputs: number])[],
): Promise<Linear> {
  const outputs = parts.reduce((sum, [, width]) => sum + width, 0), padded = paddedColumns(outputs);
  const rows = new Float32Array(outputs * inputs);
  let filled = 0;
  for (const [name, width] of parts) {
    rows.set(await source.readF32(`${prefix}.${name}.weight`, [width, inputs]), filled * inputs);
    filled += width;
  }
  const label = `${prefix}.${parts.map(([name]) => name).join("+")}`;
  const staging = tensorFrom(gpu, `${label} [out, in]`, [outputs, inputs], rows);
  const weight = createTensor(gpu, label, [inputs, padded]);
  const pass = new Pass(gpu);
  pass.run(transpose, { x: staging, y: weight }, { rows: outputs, columns: inputs, padded_rows: padded });
  pass.submit();
  // The queue keeps a destroyed buffer until the work submitted before is done.
  staging.buffer.destroy();
  return { weight, inputs, outputs };
}
