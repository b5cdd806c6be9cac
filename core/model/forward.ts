/**
 * Gemma-2's forward pass, from token ids to the activations at the tapped sites, and no further.
 * @module
 */

import { UserError } from "../errors.ts";
import { createTensor, type Gpu, tensorFrom, upload } from "../gpu/device.ts";
import { tileFor } from "../gpu/products.ts";
import type { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { tuneTiles } from "../gpu/tune.ts";
import type { TokenBatch } from "../text/contexts.ts";
import { attention, BLOCK, rotary } from "../../wgsl/gemma2/attention.ts";
import { normAddNorm, rmsNorm } from "../../wgsl/gemma2/norms.ts";
import { matmul, type Precision } from "../../wgsl/shared/matmul.ts";
import { type DecoderConfig, parseConfig } from "./config.ts";
import { Embedding } from "./embedding.ts";
import type { ModelFiles } from "./files.ts";
import { layerCount, type Plan, planFor } from "./plan.ts";
import { rotaryTurns } from "./rotary.ts";
import { checkLayer, type Site, type Tap, tapName } from "./sites.ts";
import { type LayerWeights, type Linear, loadLayers, productsOf } from "./weights.ts";

/** Activations at one site of one layer, on the GPU. */
export interface Activations {
  /** Where they were taken. */
  readonly tap: Tap;
  /** Columns: d_model. */
  readonly width: number;
  /** Rows that the last forward filled: contexts * context. */
  readonly tokens: number;
  /** f32 [tokens, width], with room for the model's most tokens; the next forward overwrites it when it runs. */
  readonly tensor: Tensor;
}

/** What a loaded model is to do. */
export interface DecoderOptions {
  /** The sites wanted, in the order in which `forward` returns them. */
  readonly taps: readonly Tap[];
  /** The most tokens in one forward. */
  readonly maxTokens: number;
  /** The longest context, in tokens. */
  readonly context: number;
  /** Hears, from 0 on, how many of the layers that are needed are loaded. */
  readonly onLoading?: (layers: number, needed: number) => void;
}

/**
 * Loads the layers that the taps need.
 *
 * @param gpu Where to; the model lives as long as this handle's owner.
 * @param files The model; its weights must stay open while the model runs.
 * @param options Taps and capacity.
 * @returns The model, ready to run.
 * @throws {UserError} When the files are not a sound Gemma-2 model, the model has no such layer, the context is longer than
 * the model allows, or the GPU's memory is exhausted.
 */
export async function loadDecoder(gpu: Gpu, files: ModelFiles, options: DecoderOptions): Promise<Decoder> {
  const config = parseConfig(files.config, `${files.path ?? files.name}/config.json`);
  for (const { layer } of options.taps) checkLayer(layer, config.layers);
  if (options.context > config.maxPositions) {
    throw new UserError(
      `Cannot run ${files.name}: its contexts have at most ${config.maxPositions} tokens, asked for ${options.context}; ` +
        `use --context ${config.maxPositions} or less`,
    );
  }
  const plan = planFor(options.taps);
  options.onLoading?.(0, layerCount(plan));
  const embedding = new Embedding(files.weights, config);
  const layers = await loadLayers(gpu, files.weights, config, plan, options.onLoading);
  await tuneTiles(gpu, productsOf(layers, options.maxTokens));
  return new Decoder(gpu, config, options, plan, embedding, layers);
}

/** The tensors that every layer uses anew, with room for the most tokens. */
interface Scratch {
  /** [tokens, (heads + 2 key/value heads) * head_dim] */
  readonly qkv: Tensor;
  /** Queries and keys, turned and blocked: see wgsl/gemma2/rotary.wgsl. */
  readonly rotated: Tensor;
  /** Attention's heads side by side: [tokens, heads * head_dim] */
  readonly mixed: Tensor;
  /** [tokens, d_mlp] */
  readonly hidden: Tensor;
  /** A branch's output before its post-norm: [tokens, d_model] */
  readonly branch: Tensor;
  /** Sites that are not tapped; those that live at the same time are apart: [tokens, d_model] */
  readonly sites: Readonly<Record<Exclude<Site, "resid_pre">, Tensor>>;
}

/** A Gemma-2 model on the GPU. */
export class Decoder {
  /** The model's sizes and constants. */
  readonly config: DecoderConfig;
  /** What each forward returns, in this order. */
  readonly taps: readonly Tap[];
  /** The most tokens that one forward takes, */
  readonly maxTokens: number;
  /** and the most contexts of full length. */
  readonly contextsAtOnce: number;
  readonly #gpu: Gpu;
  readonly #options: DecoderOptions;
  readonly #plan: Plan;
  readonly #embedding: Pick<Embedding, "gather">;
  readonly #layers: readonly LayerWeights[];
  /** (cos, sin) by position: [context, head_dim / 2, 2] */
  readonly #turns: Tensor;
  readonly #scratch: Scratch;
  readonly #embedded: Tensor;
  readonly #tapped = new Map<string, Tensor>();
  /** Lanes per row of the row-wise kernels: one SIMD vector on a CPU, whole wavefronts elsewhere. */
  readonly #rowLanes: number;
  /** Lanes of attention, each with four dimensions of a head. */
  readonly #headLanes: number;

  /**
   * Use {@link loadDecoder}.
   *
   * @param gpu The device.
   * @param config The model's sizes.
   * @param options Taps and capacity.
   * @param plan How far to run.
   * @param embedding The token embedding.
   * @param layers The weights that the plan needs.
   */
  constructor(
    gpu: Gpu,
    config: DecoderConfig,
    options: DecoderOptions,
    plan: Plan,
    embedding: Pick<Embedding, "gather">,
    layers: readonly LayerWeights[],
  ) {
    this.#gpu = gpu;
    this.config = config;
    this.taps = options.taps;
    this.maxTokens = options.maxTokens;
    this.contextsAtOnce = Math.max(1, Math.floor(options.maxTokens / options.context));
    this.#options = options;
    this.#plan = plan;
    this.#embedding = embedding;
    this.#layers = layers;
    const { dModel, headDim } = config;
    const half = headDim / 2;
    this.#turns = tensorFrom(gpu, "rotary turns", [options.context, half, 2], rotaryTurns(config, options.context));
    this.#scratch = createScratch(gpu, config, options);
    this.#embedded = createTensor(gpu, "embedded tokens", [options.maxTokens, dModel]);
    for (const tap of options.taps) {
      const name = canonical(tap);
      this.#tapped.set(name, createTensor(gpu, name, [options.maxTokens, dModel]));
    }
    this.#rowLanes = gpu.isCpu ? 8 : 256;
    this.#headLanes = Math.max(8, Math.min(64, Math.ceil(headDim / 4)));
  }

  /**
   * Records the forward pass of one batch. The embedded tokens go to the GPU at once, so submit the pass before the next call.
   *
   * @param pass Where to record.
   * @param batch Token ids (contexts, context), at most as many and as long as the model was loaded for.
   * @param precision What products round their inputs to; the device's own if left out.
   * @returns The activations, one entry per tap in their order; filled when the pass has run, overwritten when that of the next forward
   * runs.
   * @throws {UserError} When a token is not in the model's vocabulary.
   * @throws {RangeError} When the batch exceeds the capacity that the model was loaded for.
   */
  forward(
    pass: Pass,
    batch: Pick<TokenBatch, "contexts" | "context" | "ids">,
    precision: Precision = this.#gpu.precision,
  ): Activations[] {
    const { contexts, context, ids } = batch;
    const { dModel, heads, keyValueHeads, headDim } = this.config;
    const tokens = contexts * context;
    this.#checkCapacity(context, tokens);
    const plan = this.#plan, scratch = this.#scratch;
    const row = { LANES: this.#rowLanes };
    const norm = { rows: tokens, width: dModel, epsilon: this.config.rmsNormEps };
    const shape = { contexts, context, heads, key_value_heads: keyValueHeads, head_dim: headDim };
    const linear = (
      x: Tensor,
      { weight, format, inputs, outputs }: Linear,
      y: Tensor,
      epilogue: "none" | "geglu" = "none",
    ) => {
      const size = { rows: tokens, columns: outputs, depth: inputs };
      pass.run(matmul(tileFor(this.#gpu, size, precision), format, epilogue), { x, weight, y }, size);
    };

    upload(this.#gpu, this.#embedded, this.#embedding.gather(ids));
    if (plan.attnIn > 0) {
      const gain = this.#layers[0].attnInGain!;
      pass.run(rmsNorm, { x: this.#embedded, gain, y: this.#at(0, "attn_in") }, norm, row);
    }
    for (let l = 0; l < plan.attention; l++) {
      const { attention: attn, mlpInGain, mlp } = this.#layers[l];
      linear(this.#at(l, "attn_in"), attn!.qkv, scratch.qkv);
      pass.run(rotary, { qkv: scratch.qkv, turns: this.#turns, rotated: scratch.rotated }, shape);
      pass.run(
        attention,
        { rotated: scratch.rotated, qkv: scratch.qkv, out: scratch.mixed },
        { ...shape, window: this.#window(l, context), scale: this.config.queryPreAttnScalar ** -0.5 },
        { LANES: this.#headLanes, SOFT_CAP: this.config.attnSoftCap ?? 0 },
      );
      linear(scratch.mixed, attn!.out, scratch.branch);
      pass.run(
        normAddNorm,
        {
          branch: scratch.branch,
          branch_gain: attn!.postGain,
          residual: this.#at(l, "resid_pre"),
          next_gain: mlpInGain ?? attn!.postGain,
          normed: this.#at(l, "attn_out"),
          sum: this.#at(l, "resid_mid"),
          next: this.#at(l, "mlp_in"),
        },
        norm,
        { ...row, NORM_NEXT: l < plan.mlpIn ? 1 : 0 },
      );
      if (l >= plan.mlp) break;

      linear(this.#at(l, "mlp_in"), mlp!.gateUp, scratch.hidden, "geglu");
      linear(scratch.hidden, mlp!.down, scratch.branch);
      pass.run(
        normAddNorm,
        {
          branch: scratch.branch,
          branch_gain: mlp!.postGain,
          residual: this.#at(l, "resid_mid"),
          next_gain: this.#layers[l + 1]?.attnInGain ?? mlp!.postGain,
          normed: this.#at(l, "mlp_out"),
          sum: this.#at(l, "resid_post"),
          next: this.#at(l + 1, "attn_in"),
        },
        norm,
        { ...row, NORM_NEXT: l + 1 < plan.attnIn ? 1 : 0 },
      );
    }
    // The embedded tokens of the next batch come while this one's may still have to be read.
    const embedded = this.#tapped.get(EMBEDDED);
    if (embedded) pass.copy(this.#embedded, 0, embedded, 0, tokens * dModel);
    return this.taps.map((tap) => ({ tap, width: dModel, tokens, tensor: this.#tapped.get(canonical(tap))! }));
  }

  /** The tensor that holds a site: its own when it is tapped, else one that later layers reuse. */
  #at(layer: number, site: Site): Tensor {
    const name = canonical({ layer, site });
    if (name === EMBEDDED) return this.#embedded;
    return this.#tapped.get(name) ?? this.#scratch.sites[site === "resid_pre" ? "resid_post" : site];
  }

  #window(layer: number, context: number): number {
    return this.config.layerTypes[layer] === "sliding_attention" ? this.config.slidingWindow : context;
  }

  #checkCapacity(context: number, tokens: number): void {
    const { maxTokens, context: longest } = this.#options;
    if (context > longest || tokens > maxTokens) {
      throw new RangeError(
        `Cannot run the model: it was loaded for ${maxTokens} tokens in contexts of ${longest}, got ${tokens} in contexts of ${context}`,
      );
    }
  }
}

const EMBEDDED = "embedded";

/** One name per tensor: what leaves a layer is what enters the next, and what enters the first are the embedded tokens. */
function canonical({ layer, site }: Tap): string {
  if (site !== "resid_pre") return tapName({ layer, site });
  return layer === 0 ? EMBEDDED : tapName({ layer: layer - 1, site: "resid_post" });
}

function createScratch(gpu: Gpu, config: DecoderConfig, { maxTokens, context }: DecoderOptions): Scratch {
  const { dModel, dMlp, heads, keyValueHeads, headDim } = config;
  const blocks = Math.ceil(maxTokens / context) * Math.ceil(context / BLOCK);
  const rows = (label: string, width: number) => createTensor(gpu, label, [maxTokens, width]);
  return {
    qkv: rows("qkv", (heads + 2 * keyValueHeads) * headDim),
    rotated: createTensor(gpu, "rotated queries and keys", [blocks, heads + keyValueHeads, headDim, BLOCK]),
    mixed: rows("mixed heads", heads * headDim),
    hidden: rows("MLP hidden", dMlp),
    branch: rows("branch", dModel),
    sites: {
      attn_in: rows("attn_in", dModel),
      attn_out: rows("attn_out", dModel),
      resid_mid: rows("resid_mid", dModel),
      mlp_in: rows("mlp_in", dModel),
      mlp_out: rows("mlp_out", dModel),
      resid_post: rows("resid_post", dModel),
    },
  };
}
