/**
 * A model's weights on the GPU, in the layout that the kernels read.
 * @module
 */

import { createTensor, type Gpu, settle, tensorFrom } from "../gpu/device.ts";
import { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { paddedColumns, type WeightFormat } from "../../wgsl/shared/matmul.ts";
import { transpose, transposePairs } from "../../wgsl/shared/transpose.ts";
import type { Gemma2Config } from "./config.ts";
import { layerCount, type Plan } from "./plan.ts";
import type { TensorSource } from "./tensor_source.ts";

/** A linear map without bias. */
export interface Linear {
  /** [inputs, outputs padded for the matrix product]: f32, or bf16 packed in pairs, each a u32. */
  readonly weight: Tensor;
  /** Which of the two. */
  readonly format: WeightFormat;
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
  /** d_model -> four columns of the gate, the four of the up projection that belong to them, and so on: 2 d_mlp in all. */
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
 * @param onLoading Called after each layer.
 * @returns One entry per layer that has any part.
 * @throws {UserError} When a tensor is missing, misshapen or not finite, or the GPU's memory is exhausted.
 */
export async function loadLayers(
  gpu: Gpu,
  source: TensorSource,
  config: Gemma2Config,
  plan: Plan,
  onLoading?: (layers: number, needed: number) => void,
): Promise<LayerWeights[]> {
  const { dModel, dMlp, headDim } = config;
  const queries = config.heads * headDim, keys = config.keyValueHeads * headDim;
  const linear = (name: string, inputs: number, parts: readonly Part[], atOnce?: number) =>
    loadLinear(gpu, source, name, inputs, parts, atOnce);
  const gain = (name: string) => loadGain(gpu, source, name, dModel);

  const layers: LayerWeights[] = [];
  for (let l = 0; l < layerCount(plan); l++) {
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
          gateUp: await linear(`${at}.mlp`, dModel, [["gate_proj", dMlp], ["up_proj", dMlp]], GEGLU_COLUMNS),
          down: await linear(`${at}.mlp`, dMlp, [["down_proj", dModel]]),
          postGain: await gain(`${at}.post_feedforward_layernorm`),
        }
        : null,
    });
    // Layer by layer, so that staging buffers do not pile up and exhausted memory shows early.
    await settle(gpu);
    onLoading?.(l + 1, layerCount(plan));
  }
  return layers;
}

async function loadGain(gpu: Gpu, source: TensorSource, name: string, width: number): Promise<Tensor> {
  const weight = await source.readF32(`${name}.weight`, [width]);
  return tensorFrom(gpu, `${name} gain`, [width], weight.map((w) => 1 + w));
}

/** A projection by name, with its outputs. */
type Part = readonly [name: string, outputs: number];

/** The GeGLU epilogue finds gate and up of the same four columns side by side. */
const GEGLU_COLUMNS = 4;

/**
 * Loads projections that read the same input as one linear map, their outputs side by side, or taking turns every `atOnce`
 * columns. Checkpoints store [out, in], so the parts are stacked as rows and turned on the GPU; bf16 stays bf16. This is the one place that
 * decides how weights lie in memory.
 */
async function loadLinear(
  gpu: Gpu,
  source: TensorSource,
  prefix: string,
  inputs: number,
  parts: readonly Part[],
  atOnce?: number,
): Promise<Linear> {
  const outputs = parts.reduce((sum, [, width]) => sum + width, 0), padded = paddedColumns(outputs);
  const shapes = parts.map(([name, width]) => ({ name: `${prefix}.${name}.weight`, shape: [width, inputs] as const }));
  // A pair is two inputs of one output before it is turned, two outputs of one input after.
  const format: WeightFormat = inputs % 2 === 0 && shapes.every(({ name, shape }) => source.isBf16(name, shape))
    ? "bf16"
    : "f32";
  const rows = format === "bf16" ? new Uint16Array(outputs * inputs) : new Float32Array(outputs * inputs);
  let first = 0;
  for (const { name, shape: [width] } of shapes) {
    const values = format === "bf16"
      ? await source.readBf16(name, [width, inputs])
      : await source.readF32(name, [width, inputs]);
    const step = atOnce ?? width, stride = atOnce ? atOnce * parts.length : 0;
    for (let row = 0, to = first; row < width; row += step, to += stride) {
      rows.set(values.subarray(row * inputs, (row + step) * inputs), to * inputs);
    }
    first += step;
  }
  const label = `${prefix}.${parts.map(([name]) => name).join("+")}`, pass = new Pass(gpu);
  const { staging, weight } = format === "bf16"
    ? {
      staging: tensorFrom(gpu, `${label} [out, in]`, [outputs, inputs / 2], new Uint32Array(rows.buffer)),
      weight: createTensor(gpu, label, [inputs, padded / 2], "u32"),
    }
    : {
      staging: tensorFrom(gpu, `${label} [out, in]`, [outputs, inputs], rows as Float32Array),
      weight: createTensor(gpu, label, [inputs, padded]),
    };
  const turn = format === "bf16" ? transposePairs : transpose;
  pass.run(turn, { x: staging, y: weight }, { rows: outputs, columns: inputs, padded_rows: padded });
  pass.submit();
  // The queue keeps a destroyed buffer until the work submitted before is done.
  staging.buffer.destroy();
  return { weight, format, inputs, outputs };
}
