/**
 * A decoder's forward pass, from token ids to the activations at the tapped sites, and no further.
 * @module
 */

import { createTensor, type Gpu, tensorFrom, upload } from "../gpu/device.ts";
import { type Precision, tileFor, type TileName } from "../gpu/products.ts";
import type { Pass } from "../gpu/run.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { tuneTiles } from "../gpu/tune.ts";
import type { TokenBatch } from "../text/contexts.ts";
import { attention, BLOCK, rotary } from "../../wgsl/model/attention.ts";
import { add } from "../../wgsl/model/edits.ts";
import { headNorm, normAddNorm, rmsNorm } from "../../wgsl/model/norms.ts";
import { matmul } from "../../wgsl/shared/matmul.ts";
import { configOf, type DecoderConfig, type LayerType, type Rope } from "./config.ts";
import { type Edit, editsByPlace, isReplaced, recordEdits } from "./edits.ts";
import { Embedding } from "./embedding.ts";
import { checkContext } from "./capacity.ts";
import type { ModelFiles } from "./files.ts";
import { type ComparedTokens, Head, headColumns } from "./head.ts";
import { type Reach, reachOf } from "./reach.ts";
import { rotaryTurns } from "./rotary.ts";
import { checkLayer, placeOf, type Site, SITES, type Tap, tapIndex, tapName, widthOf } from "./sites.ts";
import { type HeadWeights, type LayerWeights, type Linear, loadHead, loadLayers, productsOf } from "./weights.ts";

/** Activations at one site of one layer, on the GPU. */
export interface Activations {
  /** Where they were taken. */
  readonly tap: Tap;
  /** Columns: {@link widthOf} the tap's site. */
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
  /** Whether losses and logits are wanted: all layers are loaded then, and the head; it is not if left out. */
  readonly head?: boolean;
  /** What the layers' products round their inputs to; f32 if left out, and f16 only on a device that was opened for it. */
  readonly precision?: Precision;
  /** Hears, from 0 on, how many of the layers that are needed are loaded. */
  readonly onLoading?: (layers: number, needed: number) => void;
}

/** What one forward pass is to do otherwise. */
export interface ForwardOptions {
  /** Changes of sites; none if left out. */
  readonly edits?: readonly Edit[];
  /** Those of the model's taps that are wanted; all if left out. What only others need is not computed, and they keep what they hold. */
  readonly taps?: readonly Tap[];
  /** `taps`: no further than to them, also where the model was loaded with its head, which has nothing to read then. */
  readonly end?: "taps";
  /** What the layers' products round their inputs to; what the model was loaded with if left out. */
  readonly precision?: Precision;
}

/**
 * Loads the layers that the taps, or the head, need.
 *
 * @param gpu Where to; the model lives as long as this handle's owner.
 * @param files The model; its weights must stay open while the model runs.
 * @param options Taps and capacity.
 * @returns The model, ready to run.
 * @throws {UserError} When the files are not a sound model, the model has no such layer, the context is longer than the model
 * allows, or the GPU's memory is exhausted.
 */
export async function loadDecoder(gpu: Gpu, files: ModelFiles, options: DecoderOptions): Promise<Decoder> {
  const config = configOf(files), { taps, context, maxTokens, onLoading } = options;
  for (const { layer } of taps) checkLayer(layer, config.layers);
  checkContext(files, context);
  const reach = reachOf(wantedOf(config, options));
  onLoading?.(0, reach.length);
  const embedding = new Embedding(files.weights, config);
  const layers = await loadLayers(gpu, files.weights, config, reach, onLoading);
  const head = options.head ? await loadHead(gpu, files.weights, config, headColumns(gpu, config, maxTokens)) : null;
  const tiles = await tuneTiles(gpu, productsOf(layers, maxTokens, options.precision ?? "f32"));
  return new Decoder(gpu, config, options, embedding, layers, head, tiles);
}

/** What a forward pass must get to: the taps, and what the head reads. */
function wantedOf({ layers }: DecoderConfig, { taps, head }: Pick<DecoderOptions, "taps" | "head">): Tap[] {
  return head ? [...taps, { layer: layers - 1, site: "resid_post" }] : [...taps];
}

/** The tensors that every layer uses anew, with room for the most tokens. */
interface Scratch {
  /** [tokens, (heads + 2 key/value heads) * head_dim] */
  readonly qkv: Tensor;
  /** Queries and keys, turned and blocked: see wgsl/model/rotary.wgsl. */
  readonly rotated: Tensor;
  /** A branch's output before its post-norm: [tokens, d_model] */
  readonly branch: Tensor;
  /** Sites that are not tapped; those that live at the same time are apart: [tokens, width of the site] */
  readonly sites: Readonly<Record<Exclude<Site, "resid_pre">, Tensor>>;
}

/** A model on the GPU. */
export class Decoder {
  /** The model's sizes and constants. */
  readonly config: DecoderConfig;
  /** What each forward returns, in this order. */
  readonly taps: readonly Tap[];
  /** The most tokens that one forward takes, */
  readonly maxTokens: number;
  /** and the most contexts of full length. */
  readonly contextsAtOnce: number;
  /** What the layers' products round their inputs to, unless a forward says otherwise. */
  readonly precision: Precision;
  /** The tiles that the layers' products were tuned to; none where the model was not loaded but made. */
  readonly tiles: Readonly<Record<string, TileName>>;
  readonly #gpu: Gpu;
  readonly #options: DecoderOptions;
  readonly #wanted: readonly Tap[];
  readonly #reach: Reach;
  readonly #embedding: Pick<Embedding, "gather">;
  readonly #layers: readonly LayerWeights[];
  /** (cos, sin) by position: [context, head_dim / 2, 2]; one tensor where the wavelengths are the same. */
  readonly #turns: Readonly<Record<LayerType, Tensor>>;
  readonly #scratch: Scratch;
  readonly #embedded: Tensor;
  readonly #tapped = new Map<string, Tensor>();
  readonly #head: Head | null;
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
   * @param embedding The token embedding.
   * @param layers The weights of what is within reach of the taps and the head.
   * @param head The head's weights; null where it is not wanted.
   * @param tiles What the products were tuned to.
   */
  constructor(
    gpu: Gpu,
    config: DecoderConfig,
    options: DecoderOptions,
    embedding: Pick<Embedding, "gather">,
    layers: readonly LayerWeights[],
    head: HeadWeights | null = null,
    tiles: Readonly<Record<string, TileName>> = {},
  ) {
    this.tiles = tiles;
    this.#gpu = gpu;
    this.config = config;
    this.taps = options.taps;
    this.maxTokens = options.maxTokens;
    this.contextsAtOnce = Math.max(1, Math.floor(options.maxTokens / options.context));
    this.precision = options.precision ?? "f32";
    this.#options = options;
    this.#wanted = wantedOf(config, options);
    this.#reach = reachOf(this.#wanted);
    this.#embedding = embedding;
    this.#layers = layers;
    this.#turns = createTurns(gpu, config, options.context);
    this.#scratch = createScratch(gpu, config, options);
    this.#embedded = createTensor(gpu, "embedded tokens", [options.maxTokens, config.dModel]);
    for (const tap of options.taps) {
      const name = tapName(placeOf(tap)), shape = [options.maxTokens, widthOf(config, tap.site)];
      this.#tapped.set(name, createTensor(gpu, name, shape));
    }
    this.#head = head && this.#createHead(head);
    this.#rowLanes = gpu.isCpu ? 8 : 256;
    this.#headLanes = Math.max(8, Math.min(64, Math.ceil(config.headDim / 4)));
  }

  /**
   * Records the forward pass of one batch. The embedded tokens go to the GPU at once, so submit the pass before the next call.
   *
   * @param pass Where to record.
   * @param batch Token ids (contexts, context), at most as many and as long as the model was loaded for.
   * @param options Edits, fewer taps, and another precision.
   * @returns The activations, one entry per wanted tap in their order; filled when the pass has run, overwritten when that of the next
   * forward runs.
   * @throws {UserError} When a token is not in the model's vocabulary.
   * @throws {RangeError} When the batch exceeds the capacity that the model was loaded for, or an edit does not fit.
   */
  forward(
    pass: Pass,
    batch: Pick<TokenBatch, "contexts" | "context" | "ids">,
    { edits = [], taps = this.taps, end, precision = this.precision }: ForwardOptions = {},
  ): Activations[] {
    const { contexts, context, ids } = batch;
    const { dModel, heads, keyValueHeads, headDim } = this.config;
    const tokens = contexts * context;
    this.#checkCapacity(context, tokens);
    const edited = editsByPlace(edits, this.config, tokens);
    const hasHead = this.#head !== null, isWhole = taps === this.taps && !(hasHead && end === "taps");
    const wanted = isWhole ? this.#wanted : wantedOf(this.config, { taps, head: hasHead && end !== "taps" });
    const reach = edits.length === 0 && isWhole ? this.#reach : reachOf(wanted, edited);
    const scratch = this.#scratch;
    const has = (layer: number, site: Site) => reach[layer]?.has(site) ?? false;
    const editsAt = (layer: number, site: Site) => edited.get(tapName(placeOf({ layer, site })));
    const edit = (layer: number, site: Site) => {
      const count = tokens * widthOf(this.config, site);
      recordEdits(pass, editsAt(layer, site), this.#at(layer, site), count, (tap) => this.#tap(tap));
    };
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
    /** Ends a branch: its norm, the residual stream behind it, the norm of that. One kernel, unless there is an edit in between. */
    const join = (
      layer: number,
      [before, branch, after]: readonly [Site, Site, Site],
      gain: Tensor | undefined,
      next: Tap,
      nextGain: Tensor | null | undefined,
    ) => {
      const residual = this.#at(layer, before), normed = this.#at(layer, branch), sum = this.#at(layer, after);
      const nextNormed = this.#at(next.layer, next.site), needsNext = has(next.layer, next.site);
      if (has(layer, branch) && !editsAt(layer, branch) && !editsAt(layer, after)) {
        const gains = { branch_gain: gain!, next_gain: nextGain ?? gain! };
        const tensors = { branch: scratch.branch, residual, normed, sum, next: nextNormed, ...gains };
        pass.run(normAddNorm, tensors, norm, { ...row, NORM_NEXT: needsNext ? 1 : 0 });
        return;
      }
      if (has(layer, branch)) pass.run(rmsNorm, { x: scratch.branch, gain: gain!, y: normed }, norm, row);
      edit(layer, branch);
      if (has(layer, after)) {
        pass.copy(residual, 0, sum, 0, tokens * dModel);
        pass.run(add, { x: normed, y: sum }, { count: tokens * dModel });
      }
      edit(layer, after);
      if (needsNext) pass.run(rmsNorm, { x: sum, gain: nextGain!, y: nextNormed }, norm, row);
    };

    const isRead = this.#tapped.has(EMBEDDED) || has(0, "attn_in") || has(0, "resid_mid");
    if (isRead && !isReplaced(editsAt(0, "resid_pre"))) upload(this.#gpu, this.#embedded, this.#embedding.gather(ids));
    edit(0, "resid_pre");
    if (has(0, "attn_in")) {
      const gain = this.#layers[0].attnInGain!;
      pass.run(rmsNorm, { x: this.#embedded, gain, y: this.#at(0, "attn_in") }, norm, row);
    }
    for (let l = 0; l < reach.length; l++) {
      const { qkv, headGains, attnOut, mlpInGain, gateUp, mlpOut } = this.#layers[l];
      const mixed = this.#at(l, "attn_heads"), neurons = this.#at(l, "mlp_neurons");
      edit(l, "attn_in");
      if (has(l, "attn_heads")) {
        linear(this.#at(l, "attn_in"), qkv!, scratch.qkv);
        if (headGains) {
          const params = { rows: tokens, heads, key_value_heads: keyValueHeads, head_dim: headDim };
          const lanes = { LANES: Math.min(this.#rowLanes, HEAD_NORM_LANES) };
          pass.run(headNorm, { gain: headGains, qkv: scratch.qkv }, { ...params, epsilon: norm.epsilon }, lanes);
        }
        const turns = this.#turns[this.config.layerTypes[l]];
        pass.run(rotary, { qkv: scratch.qkv, turns, rotated: scratch.rotated }, shape);
        pass.run(
          attention,
          { rotated: scratch.rotated, qkv: scratch.qkv, out: mixed },
          { ...shape, window: this.#window(l, context), scale: this.config.queryPreAttnScalar ** -0.5 },
          { LANES: this.#headLanes, SOFT_CAP: this.config.attnSoftCap ?? 0 },
        );
      }
      edit(l, "attn_heads");
      if (has(l, "attn_out")) linear(mixed, attnOut!.out, scratch.branch);
      join(l, ["resid_pre", "attn_out", "resid_mid"], attnOut?.gain, { layer: l, site: "mlp_in" }, mlpInGain);

      edit(l, "mlp_in");
      if (has(l, "mlp_neurons")) linear(this.#at(l, "mlp_in"), gateUp!, neurons, "geglu");
      edit(l, "mlp_neurons");
      if (has(l, "mlp_out")) linear(neurons, mlpOut!.out, scratch.branch);
      const next: Tap = { layer: l + 1, site: "attn_in" };
      join(l, ["resid_mid", "mlp_out", "resid_post"], mlpOut?.gain, next, this.#layers[l + 1]?.attnInGain);
    }
    // The embedded tokens of the next batch come while this one's may still have to be read.
    const embedded = this.#tapped.get(EMBEDDED);
    if (embedded) pass.copy(this.#embedded, 0, embedded, 0, tokens * dModel);
    return taps.map((tap) => ({
      tap,
      width: widthOf(this.config, tap.site),
      tokens,
      tensor: this.#tapped.get(tapName(placeOf(tap)))!,
    }));
  }

  /**
   * Records the loss of predicting each token's successor, -log of the probability that the model gives it, for the batch that the last
   * forward took. The successors go to the GPU at once, so submit the pass before the next call.
   *
   * @param pass The pass of that forward, or a later one.
   * @param batch The same batch.
   * @returns f32 [tokens], in nats; 0 for the last token of a context, which has none. The next call overwrites it.
   * @throws {RangeError} When the model was loaded without its head.
   */
  recordLoss(pass: Pass, batch: Pick<TokenBatch, "contexts" | "context" | "ids">): Tensor {
    return this.#requireHead().recordLoss(pass, batch);
  }

  /**
   * Records the logits, behind the soft cap, of some tokens of the batch that the last forward took.
   *
   * @param pass The pass of that forward, or a later one.
   * @param tokens Flat indices context * length + position, at most as many as the model was loaded for.
   * @param logits f32 [tokens, vocabulary], overwritten.
   * @throws {RangeError} When the model was loaded without its head.
   */
  recordLogits(pass: Pass, tokens: ArrayLike<number>, logits: Tensor): void {
    this.#requireHead().recordLogits(pass, tokens, logits);
  }

  /**
   * Records what the head reads of the last forward, so that a later one's predictions can be held against it.
   *
   * @param pass The pass of that forward, or a later one.
   * @param tokens Tokens of that forward.
   * @param normed f32 [tokens, d_model], overwritten: what leaves the final norm.
   * @throws {RangeError} When the model was loaded without its head.
   */
  recordNormed(pass: Pass, tokens: number, normed: Tensor): void {
    this.#requireHead().recordNormed(pass, tokens, normed);
  }

  /**
   * Records how the predictions of the last forward differ from those of an earlier one. The successors go to the GPU at once, so submit
   * the pass before the next call.
   *
   * @param pass The pass of that forward, or a later one.
   * @param batch The same batch.
   * @param reference What {@link recordNormed} kept of the earlier one, or some rows of it.
   * @param compared Which are compared; every token with itself if left out.
   * @returns f32 [compared tokens, 3]: the loss as {@link recordLoss} gives it; KL(reference || this one) in nats; 1 where both think the same token
   * the most probable, 0 elsewhere. The next call overwrites it.
   * @throws {RangeError} When the model was loaded without its head.
   */
  recordComparison(
    pass: Pass,
    batch: Pick<TokenBatch, "contexts" | "context" | "ids">,
    reference: Tensor,
    compared?: ComparedTokens,
  ): Tensor {
    return this.#requireHead().recordComparison(pass, batch, reference, compared);
  }

  /**
   * Records the probabilities of next tokens, summed over some predictions, without what the last forward had changed and with it.
   *
   * @param pass The pass of {@link recordComparison} of all tokens of that forward, behind it, or a later one.
   * @param reference As it was given to that.
   * @param tokens Tokens of that forward.
   * @param chosen u32: flat indices of the tokens whose predictions count,
   * @param count and how many these are.
   * @param sums f32 [2, vocabulary], overwritten: sums by the reference, and by that forward.
   * @throws {RangeError} When the model was loaded without its head, or nothing was compared.
   */
  recordProbabilitySums(
    pass: Pass,
    reference: Tensor,
    tokens: number,
    chosen: Tensor,
    count: number,
    sums: Tensor,
  ): void {
    this.#requireHead().recordProbabilitySums(pass, reference, tokens, chosen, count, sums);
  }

  /**
   * Records what several forward passes of a batch predict, and how the predictions of all but the first differ from its own. The
   * vocabulary is gone through once for all of them. The successors go to the GPU at once, so submit the pass before the next call.
   *
   * @param pass The pass of the last of them, or a later one.
   * @param batch The batch.
   * @param reference What {@link recordNormed} kept of the first,
   * @param changed and of the others.
   * @returns f32 [tokens], the loss of the first as {@link recordLoss} gives it; f32 [tokens, 3] of each other as {@link recordComparison}
   * gives it. The next call overwrites them.
   * @throws {RangeError} When the model was loaded without its head.
   */
  recordPredictions(
    pass: Pass,
    batch: Pick<TokenBatch, "contexts" | "context" | "ids">,
    reference: Tensor,
    changed: readonly Tensor[],
  ): { readonly loss: Tensor; readonly comparisons: readonly Tensor[] } {
    return this.#requireHead().recordPredictions(pass, batch, reference, changed);
  }

  /** What holds a tap of the model while a pass runs. */
  #tap(tap: Tap): Tensor {
    const { layer, site } = this.taps[tapIndex(this.taps, tap)];
    return this.#at(layer, site);
  }

  /** The tensor that holds a site: its own when it is tapped, else one that later layers reuse. */
  #at(layer: number, site: Site): Tensor {
    const name = tapName(placeOf({ layer, site }));
    if (name === EMBEDDED) return this.#embedded;
    return this.#tapped.get(name) ?? this.#scratch.sites[site === "resid_pre" ? "resid_post" : site];
  }

  #createHead(weights: HeadWeights): Head {
    const { sites, branch } = this.#scratch;
    const tensors = {
      residual: this.#at(this.config.layers - 1, "resid_post"),
      normed: branch,
      chosen: sites.mlp_out,
    };
    return new Head(this.#gpu, this.config, weights, tensors, this.#options.maxTokens);
  }

  #requireHead(): Head {
    if (this.#head) return this.#head;
    throw new RangeError("Cannot compute losses or logits: the model must be loaded with its head, it is not");
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

/** A head is at most a few hundred numbers wide. */
const HEAD_NORM_LANES = 64;

const EMBEDDED = tapName({ layer: 0, site: "resid_pre" });

function createTurns(gpu: Gpu, { headDim, rope }: DecoderConfig, context: number): Record<LayerType, Tensor> {
  const table = (rope: Rope) =>
    tensorFrom(gpu, "rotary turns", [context, headDim / 2, 2], rotaryTurns(headDim, rope, context));
  const { full_attention: far, sliding_attention: near } = rope, full = table(far);
  const isOne = far.theta === near.theta && far.factor === near.factor;
  return { full_attention: full, sliding_attention: isOne ? full : table(near) };
}

function createScratch(gpu: Gpu, config: DecoderConfig, { maxTokens, context }: DecoderOptions): Scratch {
  const { dModel, heads, keyValueHeads, headDim } = config;
  const blocks = Math.ceil(maxTokens / context) * Math.ceil(context / BLOCK);
  const rows = (label: string, width: number) => createTensor(gpu, label, [maxTokens, width]);
  const computed = SITES.filter((site) => site !== "resid_pre");
  return {
    qkv: rows("qkv", (heads + 2 * keyValueHeads) * headDim),
    rotated: createTensor(gpu, "rotated queries and keys", [blocks, heads + keyValueHeads, headDim, BLOCK]),
    branch: rows("branch", dModel),
    sites: Object.fromEntries(
      computed.map((site) => [site, rows(site, widthOf(config, site))]),
    ) as unknown as Scratch["sites"],
  };
}
