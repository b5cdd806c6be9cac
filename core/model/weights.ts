/**
 * A model's weights on the GPU, in the layout that the kernels read.
 * @module
 */

import { createTensor, type Gpu, settle, tensorFrom, upload } from "../gpu/device.ts";
import { openScope } from "../gpu/scope.ts";
import { Pass } from "../gpu/run.ts";
import { ELEMENT_BYTES, type Tensor } from "../gpu/tensor.ts";
import type { NeededProduct } from "../gpu/tune.ts";
import { TooLargeToBind } from "../gpu/too_large.ts";
import { paddedColumns, type Precision, type WeightFormat } from "../../wgsl/shared/matmul.ts";
import { transpose, transposePairs } from "../../wgsl/shared/transpose.ts";
import type { DecoderConfig } from "./config.ts";
import type { Reach } from "./reach.ts";
import type { Site } from "./sites.ts";
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

/** What makes a branch of a layer from what it has computed inside. */
export interface BranchWeights {
  /** heads * head_dim, or d_mlp, -> d_model. */
  readonly out: Linear;
  /** Gain of the norm behind it, f32 [d_model]. */
  readonly gain: Tensor;
}

/** One layer: for each site what it is computed with; null where the site is out of reach. */
export interface LayerWeights {
  /** `attn_in`: gain of the input norm, f32 [d_model]. */
  readonly attnInGain: Tensor | null;
  /** `attn_heads`: d_model -> queries of all heads, then keys, then values of all key/value heads. */
  readonly qkv: Linear | null;
  /** Likewise: gains of the norms of a query head and of a key head, f32 [2, head_dim]; null also in models that have none. */
  readonly headGains: Tensor | null;
  /** `attn_out` */
  readonly attnOut: BranchWeights | null;
  /** `mlp_in`: gain of the pre-feedforward norm, f32 [d_model]. */
  readonly mlpInGain: Tensor | null;
  /**
   * `mlp_neurons`: d_model -> four columns of the gate, the four of the up projection that belong to them, and so on: 2 d_mlp in
   * all.
   */
  readonly gateUp: Linear | null;
  /** `mlp_out` */
  readonly mlpOut: BranchWeights | null;
}

/**
 * Loads what the sites within reach are computed with. Gains are one plus the stored weight.
 *
 * @param gpu Where to.
 * @param source The checkpoint.
 * @param config The model's sizes.
 * @param reach The sites.
 * @param onLoading Called after each layer.
 * @returns One entry per layer within reach.
 * @throws {UserError} When a tensor is missing, misshapen or not finite, or the GPU's memory is exhausted.
 */
export async function loadLayers(
  gpu: Gpu,
  source: TensorSource,
  config: DecoderConfig,
  reach: Reach,
  onLoading?: (layers: number, needed: number) => void,
): Promise<LayerWeights[]> {
  const { dModel, dMlp, headDim } = config;
  const queries = config.heads * headDim, keys = config.keyValueHeads * headDim;
  const linear = (name: string, inputs: number, parts: readonly Part[], atOnce?: number) =>
    loadLinear(gpu, source, name, inputs, parts, atOnce);
  const gain = (name: string) => loadGain(gpu, source, name, dModel);

  const layers: LayerWeights[] = [];
  for (const [l, sites] of reach.entries()) {
    const at = `layers.${l}`;
    layers.push({
      attnInGain: sites.has("attn_in") ? await gain(`${at}.input_layernorm`) : null,
      qkv: sites.has("attn_heads")
        ? await linear(`${at}.self_attn`, dModel, [["q_proj", queries], ["k_proj", keys], ["v_proj", keys]])
        : null,
      headGains: config.hasHeadNorm && sites.has("attn_heads")
        ? await loadHeadGains(gpu, source, `${at}.self_attn`, headDim)
        : null,
      attnOut: sites.has("attn_out")
        ? {
          out: await linear(`${at}.self_attn`, queries, [["o_proj", dModel]]),
          gain: await gain(`${at}.post_attention_layernorm`),
        }
        : null,
      mlpInGain: sites.has("mlp_in") ? await gain(`${at}.pre_feedforward_layernorm`) : null,
      gateUp: sites.has("mlp_neurons")
        ? await linear(`${at}.mlp`, dModel, [["gate_proj", dMlp], ["up_proj", dMlp]], GEGLU_COLUMNS)
        : null,
      mlpOut: sites.has("mlp_out")
        ? {
          out: await linear(`${at}.mlp`, dMlp, [["down_proj", dModel]]),
          gain: await gain(`${at}.post_feedforward_layernorm`),
        }
        : null,
    });
    onLoading?.(l + 1, reach.length);
  }
  return layers;
}

/**
 * The products of a forward pass, those of one layer: the others' are like them.
 *
 * @param layers The loaded layers.
 * @param tokens Tokens of a pass.
 * @param precision What their inputs are rounded to.
 * @returns One entry per linear map of the first layer.
 */
export function productsOf(layers: readonly LayerWeights[], tokens: number, precision: Precision): NeededProduct[] {
  const { qkv, attnOut, gateUp, mlpOut } = layers[0] ?? {};
  const product = (linear: Linear | null | undefined, epilogue: "none" | "geglu" = "none"): NeededProduct[] => {
    if (!linear) return [];
    const { format, inputs, outputs } = linear;
    return [{ rows: tokens, columns: outputs, depth: inputs, weight: format, epilogue, precision }];
  };
  return [...product(qkv), ...product(attnOut?.out), ...product(gateUp, "geglu"), ...product(mlpOut?.out)];
}

/** What the logits are computed with. */
export interface HeadWeights {
  /** Gain of the final norm, f32 [d_model]. */
  readonly gain: Tensor;
  /** d_model -> the logits of as many tokens, before the cap; blocks in the order of the vocabulary. */
  readonly blocks: readonly Linear[];
}

/**
 * Loads the head. A vocabulary's matrix is larger than most adapters bind, so it comes in blocks of tokens.
 *
 * @param gpu Where to.
 * @param source The checkpoint.
 * @param config The model's sizes, and whether the head is the token embedding.
 * @param columns Tokens per block; the last one may have fewer.
 * @param most How many blocks to load, for an estimate; all if left out.
 * @returns The weights; bf16 stays bf16.
 * @throws {UserError} As {@link loadLayers}.
 */
export async function loadHead(
  gpu: Gpu,
  source: TensorSource,
  { vocabSize, dModel, isHeadTied }: DecoderConfig,
  columns: number,
  most = Infinity,
): Promise<HeadWeights> {
  const gain = await loadGain(gpu, source, "norm", dModel);
  const name = isHeadTied ? "embed_tokens" : "lm_head";
  const matrix = source.matrix(`${name}.weight`, [vocabSize, dModel]);
  const blocks: Linear[] = [];
  for (let first = 0; first < vocabSize && blocks.length < most; first += columns) {
    const count = Math.min(columns, vocabSize - first), label = `${name} from token ${first} on`;
    const format = formatOf(dModel, [matrix]);
    blocks.push(
      await turned(gpu, source, label, dModel, count, format, pieces([matrix], dModel, format, first, count)),
    );
  }
  return { gain, blocks };
}

async function loadGain(gpu: Gpu, source: TensorSource, name: string, width: number): Promise<Tensor> {
  return tensorFrom(gpu, `${name} gain`, [width], await readGain(source, name, width));
}

async function loadHeadGains(gpu: Gpu, source: TensorSource, prefix: string, headDim: number): Promise<Tensor> {
  const gains = new Float32Array(2 * headDim);
  for (const [i, name] of ["q_norm", "k_norm"].entries()) {
    gains.set(await readGain(source, `${prefix}.${name}`, headDim), i * headDim);
  }
  return tensorFrom(gpu, `${prefix}.q_norm+k_norm gain`, [2, headDim], gains);
}

/**
 * Reads the gain of a norm, which is one plus the stored weight.
 *
 * @param source The checkpoint.
 * @param name For example `layers.0.input_layernorm`, or `norm` for the one in front of the head.
 * @param width Its width.
 * @returns f32 [width]
 * @throws {UserError} As {@link loadLayers}.
 */
export async function readGain(source: TensorSource, name: string, width: number): Promise<Float32Array<ArrayBuffer>> {
  return (await source.readF32(`${name}.weight`, [width])).map((w) => 1 + w);
}

/** A projection by name, with its outputs. */
type Part = readonly [name: string, outputs: number];

/**
 * Makes sure that everything {@link loadLayers}, {@link loadHead} and the embedding read is there and has the right shape; nothing is
 * read but the files' headers.
 *
 * @param source The checkpoint.
 * @param config The model's sizes.
 * @param reach The sites.
 * @param hasHead Whether the head is wanted too.
 * @throws {UserError} Naming the first tensor that is missing or misshapen.
 */
export function requireTensors(source: TensorSource, config: DecoderConfig, reach: Reach, hasHead: boolean): void {
  const { dModel, dMlp, headDim, vocabSize } = config;
  const queries = config.heads * headDim, keys = config.keyValueHeads * headDim;
  for (const [l, sites] of reach.entries()) {
    const need = (site: Site, tensors: Readonly<Record<string, readonly number[]>>) => {
      if (!sites.has(site)) return;
      for (const [name, shape] of Object.entries(tensors)) source.require(`layers.${l}.${name}.weight`, shape);
    };
    need("attn_in", { input_layernorm: [dModel] });
    need("attn_heads", {
      ...{
        "self_attn.q_proj": [queries, dModel],
        "self_attn.k_proj": [keys, dModel],
        "self_attn.v_proj": [keys, dModel],
      },
      ...config.hasHeadNorm && { "self_attn.q_norm": [headDim], "self_attn.k_norm": [headDim] },
    });
    need("attn_out", { "self_attn.o_proj": [dModel, queries], post_attention_layernorm: [dModel] });
    need("mlp_in", { pre_feedforward_layernorm: [dModel] });
    need("mlp_neurons", { "mlp.gate_proj": [dMlp, dModel], "mlp.up_proj": [dMlp, dModel] });
    need("mlp_out", { "mlp.down_proj": [dModel, dMlp], post_feedforward_layernorm: [dModel] });
  }
  source.require("embed_tokens.weight", [vocabSize, dModel]);
  if (!hasHead) return;
  source.require("norm.weight", [dModel]);
  if (!config.isHeadTied) source.require("lm_head.weight", [vocabSize, dModel]);
}

/** The GeGLU epilogue finds gate and up of the same four columns side by side. */
const GEGLU_COLUMNS = 4;

/** Bytes of a projection that are in host memory at once. */
const PIECE_BYTES = 1 << 23;

/**
 * Loads projections that read the same input as one linear map, their outputs side by side, or taking turns every `atOnce`
 * columns.
 */
function loadLinear(
  gpu: Gpu,
  source: TensorSource,
  prefix: string,
  inputs: number,
  parts: readonly Part[],
  atOnce?: number,
): Promise<Linear> {
  const outputs = parts.reduce((sum, [, width]) => sum + width, 0);
  const matrices = parts.map(([name, width]) => source.matrix(`${prefix}.${name}.weight`, [width, inputs]));
  const format = formatOf(inputs, matrices);
  const rows = atOnce === undefined
    ? inTurn(matrices.map((matrix) => pieces([matrix], inputs, format, 0, matrix.rows)))
    : pieces(matrices, inputs, format, 0, matrices[0].rows, atOnce);
  return turned(gpu, source, `${prefix}.${parts.map(([name]) => name).join("+")}`, inputs, outputs, format, rows);
}

/** A pair of bf16 is two inputs of one output before it is turned, two outputs of one input after. */
function formatOf(inputs: number, matrices: readonly StoredMatrix[]): WeightFormat {
  return inputs % 2 === 0 && matrices.every(({ isBf16 }) => isBf16) ? "bf16" : "f32";
}

/**
 * Makes a linear map of rows as checkpoints store them, [out, in]: they are stacked and turned on the GPU; bf16 stays bf16. This is the one
 * place that decides how weights lie in memory.
 */
async function turned(
  gpu: Gpu,
  source: TensorSource,
  label: string,
  inputs: number,
  outputs: number,
  format: WeightFormat,
  rows: Iterable<Uint32Array | Float32Array>,
): Promise<Linear> {
  const padded = paddedColumns(outputs);
  const { type, perElement } = format === "bf16"
    ? { type: "u32", perElement: 2 } as const
    : { type: "f32", perElement: 1 } as const;
  requireBindable(gpu, source, label, outputs * inputs / perElement * ELEMENT_BYTES, format);
  using scratch = openScope(gpu);
  const staging = createTensor(scratch, `${label} [out, in]`, [outputs, inputs / perElement], type);
  const weight = createTensor(gpu, label, [inputs, padded / perElement], type);
  let first = 0;
  for (const piece of rows) {
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

function* inTurn<T>(all: readonly Iterable<T>[]): Generator<T> {
  for (const each of all) yield* each;
}

/** Consecutive rows of a matrix, or of several that take turns every `atOnce` rows, as elements of the staging tensor. */
function* pieces(
  matrices: readonly StoredMatrix[],
  inputs: number,
  format: WeightFormat,
  first: number,
  rows: number,
  atOnce = 1,
): Generator<Uint32Array | Float32Array> {
  const rowsAtOnce = Math.max(1, Math.floor(PIECE_BYTES / (ELEMENT_BYTES * inputs * atOnce))) * atOnce;
  for (let row = first; row < first + rows; row += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, first + rows - row);
    if (format === "bf16") {
      const bits = interleaved(matrices.map((matrix) => matrix.readBf16(row, count)), atOnce * inputs);
      yield new Uint32Array(bits.buffer, bits.byteOffset, bits.length / 2);
    } else yield interleaved(matrices.map((matrix) => matrix.readF32(row, count)), atOnce * inputs);
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
  throw new TooLargeToBind({
    action: `load ${source.where}`,
    requirement: `${gpu.adapter} binds at most ${most} bytes at once`,
    found: `${label} takes ${bytes}`,
    remedy: format === "f32"
      ? "take the model in bfloat16, which needs half"
      : "take a smaller model, or another adapter",
  });
}
