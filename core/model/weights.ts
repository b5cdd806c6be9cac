/**
 * A model's weights on the GPU, in the layout that the kernels read.
 * @module
 */

import { createTensor, type Gpu, settle, tensorFrom, upload } from "../gpu/device.ts";
import { openScope } from "../gpu/scope.ts";
import { Pass } from "../gpu/run.ts";
import { ELEMENT_BYTES, type Tensor } from "../gpu/tensor.ts";
import type { PlannedProduct } from "../gpu/tune.ts";
import { TooLargeToBind } from "../gpu/too_large.ts";
import { paddedColumns, type WeightFormat } from "../../wgsl/shared/matmul.ts";
import { transpose, transposePairs } from "../../wgsl/shared/transpose.ts";
import type { DecoderConfig } from "./config.ts";
import { layerCount, type Plan } from "./plan.ts";
import type { StoredMatrix, TensorSource } from "../files/tensor_source.ts";

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
  config: DecoderConfig,
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
    onLoading?.(l + 1, layerCount(plan));
  }
  return layers;
}

/**
 * The products of a forward pass, those of one layer: the others' are like them.
 *
 * @param layers The loaded layers.
 * @param tokens Tokens of a pass.
 * @returns One entry per linear map of the first layer.
 */
export function productsOf(layers: readonly LayerWeights[], tokens: number): PlannedProduct[] {
  const { attention, mlp } = layers[0] ?? {};
  const product = ({ format, inputs, outputs }: Linear, epilogue: "none" | "geglu" = "none") => ({
    ...{ rows: tokens, columns: outputs, depth: inputs },
    ...{ weight: format, epilogue },
  });
  return [
    ...(attention ? [product(attention.qkv), product(attention.out)] : []),
    ...(mlp ? [product(mlp.gateUp, "geglu"), product(mlp.down)] : []),
  ];
}

async function loadGain(gpu: Gpu, source: TensorSource, name: string, width: number): Promise<Tensor> {
  const weight = await source.readF32(`${name}.weight`, [width]);
  return tensorFrom(gpu, `${name} gain`, [width], weight.map((w) => 1 + w));
}

/** A projection by name, with its outputs. */
type Part = readonly [name: string, outputs: number];

/** The GeGLU epilogue finds gate and up of the same four columns side by side. */
const GEGLU_COLUMNS = 4;

/** Bytes of a projection that are in host memory at once. */
const PIECE_BYTES = 1 << 23;

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
  const matrices = parts.map(([name, width]) => source.matrix(`${prefix}.${name}.weight`, [width, inputs]));
  // A pair is two inputs of one output before it is turned, two outputs of one input after.
  const format: WeightFormat = inputs % 2 === 0 && matrices.every(({ isBf16 }) => isBf16) ? "bf16" : "f32";
  const { type, perElement } = format === "bf16"
    ? { type: "u32", perElement: 2 } as const
    : { type: "f32", perElement: 1 } as const;
  const label = `${prefix}.${parts.map(([name]) => name).join("+")}`;
  requireBindable(gpu, source, label, outputs * inputs / perElement * ELEMENT_BYTES, format);
  using scratch = openScope(gpu);
  const staging = createTensor(scratch, `${label} [out, in]`, [outputs, inputs / perElement], type);
  const weight = createTensor(gpu, label, [inputs, padded / perElement], type);
  let first = 0;
  for (const piece of pieces(matrices, inputs, format, atOnce)) {
    upload(gpu, staging, piece, first);
    first += piece.length;
  }
  const pass = new Pass(gpu), turn = format === "bf16" ? transposePairs : transpose;
  pass.run(turn, { x: staging, y: weight }, { rows: outputs, columns: inputs, padded_rows: padded });
  pass.submit();
  // The queue has copies of what was uploaded: they must not pile up, and exhausted memory is to show early.
  await settle(gpu);
  return { weight, format, inputs, outputs };
}

/** The rows of matrices one after the other, or taking turns every `atOnce` rows, as elements of the staging tensor. */
function* pieces(
  matrices: readonly StoredMatrix[],
  inputs: number,
  format: WeightFormat,
  atOnce?: number,
): Generator<Uint32Array | Float32Array> {
  const turns = atOnce ?? 1,
    rowsAtOnce = Math.max(1, Math.floor(PIECE_BYTES / (ELEMENT_BYTES * inputs * turns))) * turns;
  for (const together of atOnce === undefined ? matrices.map((matrix) => [matrix]) : [matrices]) {
    for (let row = 0; row < together[0].rows; row += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, together[0].rows - row);
      if (format === "bf16") {
        const bits = interleaved(together.map((matrix) => matrix.readBf16(row, count)), turns * inputs);
        yield new Uint32Array(bits.buffer, bits.byteOffset, bits.length / 2);
      } else yield interleaved(together.map((matrix) => matrix.readF32(row, count)), turns * inputs);
    }
  }
}

/** Arrays of one length, taking turns every `run` elements. */
function interleaved<A extends Uint16Array<ArrayBuffer> | Float32Array<ArrayBuffer>>(
  arrays: readonly A[],
  run: number,
): A {
  const [one] = arrays;
  if (arrays.length === 1) return one;
  const all = new (one.constructor as new (length: number) => A)(one.length * arrays.length);
  for (let from = 0, to = 0; from < one.length; from += run) {
    for (const array of arrays) {
      all.set(array.subarray(from, from + run), to);
      to += run;
    }
  }
  return all;
}

function requireBindable(gpu: Gpu, source: TensorSource, label: string, bytes: number, format: WeightFormat): void {
  const most = Math.min(gpu.limits.maxBufferSize, gpu.limits.maxStorageBufferBindingSize);
  if (bytes <= most) return;
  throw new TooLargeToBind(
    `Cannot load ${source.where}: ${gpu.adapter} binds at most ${most} bytes at once, ${label} takes ${bytes}; ` +
      (format === "f32" ? "take the model in bfloat16, which needs half" : "take a smaller model, or another adapter"),
  );
}
