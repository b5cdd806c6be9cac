/**
 * The model's head: final norm, products with the vocabulary, soft cap; the loss of the token that follows, and how two predictions differ.
 * The vocabulary is taken in blocks, so that neither its matrix nor its logits need be bound, or be there, as a whole.
 *
 * It computes in f32 whatever the precision of the layers: what it gives is a measurement.
 * @module
 */

import { createTensor, type Gpu, upload } from "../gpu/device.ts";
import { tileFor } from "../gpu/products.ts";
import type { Pass } from "../gpu/run.ts";
import { oneBlock, recordGather } from "../gpu/row_blocks.ts";
import { ELEMENT_BYTES, type Tensor } from "../gpu/tensor.ts";
import type { TokenBatch } from "../text/contexts.ts";
import { comparePredictions, nextTokenLoss, NO_TOKEN, storeLogits, sumProbabilities } from "../../wgsl/model/head.ts";
import { rmsNorm } from "../../wgsl/model/norms.ts";
import { COLUMN_ALIGNMENT, matmul } from "../../wgsl/shared/matmul.ts";
import type { DecoderConfig } from "./config.ts";
import type { HeadWeights, Linear } from "./weights.ts";

/** Logits of a block, of all tokens of a pass: 64 MiB, which every adapter binds. */
const BLOCK_LOGITS = 2 ** 24;
/** Tokens of a block, so that its weights are tens of megabytes for a wide model too. */
const MOST_COLUMNS = 2 ** 14;

/**
 * How many tokens of the vocabulary make a block.
 *
 * @param gpu The device.
 * @param config The model.
 * @param maxTokens The most tokens of a forward pass.
 * @returns A multiple of what products are aligned to, or the whole vocabulary.
 */
export function headColumns(gpu: Gpu, { vocabSize, dModel }: DecoderConfig, maxTokens: number): number {
  const { maxBufferSize, maxStorageBufferBindingSize } = gpu.limits;
  const bindable = Math.min(maxBufferSize, maxStorageBufferBindingSize) / ELEMENT_BYTES;
  const most = Math.min(MOST_COLUMNS, BLOCK_LOGITS / maxTokens, bindable / maxTokens, bindable / dModel);
  return Math.min(vocabSize, Math.max(1, Math.floor(most / COLUMN_ALIGNMENT)) * COLUMN_ALIGNMENT);
}

/** What the head reads of a forward pass, and what it may overwrite behind it. All [tokens, d_model]. */
export interface HeadTensors {
  /** What leaves the last layer. */
  readonly residual: Tensor;
  /** Free once the layers have run: gets what leaves the final norm. */
  readonly normed: Tensor;
  /** Likewise: gets the rows that logits are wanted of. */
  readonly chosen: Tensor;
}

/** Which of a batch's predictions are compared, and with which of another forward pass: as many entries in both. */
export interface ComparedTokens {
  /** Flat indices context * length + position. */
  readonly tokens: Uint32Array<ArrayBuffer>;
  /** The row of the reference that each is held against; several may share one, whose products are then computed once. */
  readonly references: Uint32Array<ArrayBuffer>;
}

/** Hears of a block whose products were recorded: its columns, and the token that the first of them is. */
type TakeBlock = (columns: number, first: number, block: Linear) => void;

/** What a comparison works on, with room for the most tokens of a forward pass. */
interface Comparison {
  /** The compared tokens, and the row of the reference of each: u32 */
  readonly order: Tensor;
  readonly referenceRow: Tensor;
  /** The reference's products with one block. */
  readonly product: Tensor;
  /** See compare_predictions.wgsl. */
  readonly state: Tensor;
  readonly result: Tensor;
}

/** A model's head on the GPU. */
export class Head {
  readonly #gpu: Gpu;
  readonly #config: DecoderConfig;
  readonly #weights: HeadWeights;
  readonly #tensors: HeadTensors;
  /** Products with one block: [tokens, tokens of a block] */
  readonly #product: Tensor;
  /** The token that follows each, u32 [tokens]. */
  readonly #targets: Tensor;
  /** See next_token_loss.wgsl: [tokens, 3] */
  readonly #state: Tensor;
  readonly #loss: Tensor;
  /** What a comparison needs beside that; there from the first one on. */
  #comparison: Comparison | null = null;
  /** State and result of each of the comparisons that are recorded at once; as many as there were so far. */
  readonly #several: Pick<Comparison, "state" | "result">[] = [];
  readonly #rowLanes: number;

  /**
   * Allocates what the head needs beside its weights.
   *
   * @param gpu The device.
   * @param config The model.
   * @param weights From {@link loadHead}, in blocks of {@link headColumns}.
   * @param tensors The model's own that it works on.
   * @param maxTokens The most tokens of a forward pass.
   */
  constructor(gpu: Gpu, config: DecoderConfig, weights: HeadWeights, tensors: HeadTensors, maxTokens: number) {
    this.#gpu = gpu;
    this.#config = config;
    this.#weights = weights;
    this.#tensors = tensors;
    this.#product = createTensor(gpu, "products with the vocabulary", [maxTokens, weights.blocks[0].outputs]);
    this.#targets = createTensor(gpu, "following tokens", [maxTokens], "u32");
    this.#state = createTensor(gpu, "loss state", [maxTokens, 3]);
    this.#loss = createTensor(gpu, "next-token loss", [maxTokens]);
    this.#rowLanes = gpu.isCpu ? 8 : 256;
  }

  /**
   * Records the loss of each token's successor; see {@link Decoder.recordLoss}.
   *
   * @param pass Where to record, behind the forward pass.
   * @param batch What went through it.
   * @returns f32 [tokens], in nats; 0 for the last token of a context, which has none.
   */
  recordLoss(pass: Pass, { contexts, context, ids }: Pick<TokenBatch, "contexts" | "context" | "ids">): Tensor {
    const rows = contexts * context;
    this.#uploadTargets(context, ids);
    this.recordNormed(pass, rows);
    this.#recordBlocks(pass, this.#tensors.normed, rows, (columns, first) => {
      this.#recordBlockLoss(pass, this.#product, rows, columns, first);
    });
    return this.#loss;
  }

  /**
   * Records the logits of some tokens; see {@link Decoder.recordLogits}.
   *
   * @param pass Where to record, behind the forward pass.
   * @param tokens Flat indices of tokens in the batch.
   * @param logits f32 [tokens, vocabulary], overwritten.
   */
  recordLogits(pass: Pass, tokens: ArrayLike<number>, logits: Tensor): void {
    const { vocabSize: vocabulary, dModel, finalSoftCap } = this.#config, { normed, chosen } = this.#tensors;
    const rows = tokens.length;
    if (rows === 0) return;
    this.recordNormed(pass, Math.max(...Array.from(tokens)) + 1);
    for (let r = 0; r < rows; r++) pass.copy(normed, tokens[r] * dModel, chosen, r * dModel, dModel);
    this.#recordBlocks(pass, chosen, rows, (columns, first) => {
      const params = { rows, columns, first, vocabulary };
      pass.run(storeLogits, { product: this.#product, logits }, params, { SOFT_CAP: finalSoftCap ?? 0 });
    });
  }

  /**
   * Records the final norm.
   *
   * @param pass Where to record, behind the forward pass.
   * @param rows Tokens, from the first.
   * @param normed f32 [rows, d_model], overwritten; the head's own if left out.
   */
  recordNormed(pass: Pass, rows: number, normed: Tensor = this.#tensors.normed): void {
    const { dModel: width, rmsNormEps: epsilon } = this.#config;
    const tensors = { x: this.#tensors.residual, gain: this.#weights.gain, y: normed };
    pass.run(rmsNorm, tensors, { rows, width, epsilon }, { LANES: this.#rowLanes });
  }

  /**
   * Records how predictions differ from others; see {@link Decoder.recordComparison}. The reference's products are computed anew, since all of
   * them together may be too many to keep.
   *
   * @param pass Where to record, behind the forward pass.
   * @param batch What went through it.
   * @param reference f32 [.., d_model]: what left the final norm in the other forward pass.
   * @param compared Which are compared; every token with the reference's row of its number if left out.
   * @returns f32 [compared tokens, 3]: loss, KL(reference || this) and whether both think the same token the most probable.
   */
  recordComparison(
    pass: Pass,
    { contexts, context, ids }: Pick<TokenBatch, "contexts" | "context" | "ids">,
    reference: Tensor,
    compared?: ComparedTokens,
  ): Tensor {
    const { order, referenceRow, product, state, result } = this.#comparison ??= this.#createComparison();
    const all = contexts * context, { normed, chosen } = this.#tensors, { dModel, vocabSize } = this.#config;
    const { tokens, references } = compared ??
      { tokens: null, references: Uint32Array.from({ length: all }, (_, i) => i) };
    const rows = references.length;
    if (rows === 0) return result;
    const referenceRows = references.reduce((most, row) => Math.max(most, row), 0) + 1;
    this.#uploadTargets(context, ids, tokens);
    upload(this.#gpu, referenceRow, references);
    this.recordNormed(pass, all);
    if (tokens) {
      upload(this.#gpu, order, tokens);
      recordGather(pass, oneBlock(normed), order, chosen, { rows, width: dModel, first: 0 });
    }
    this.#recordBlocks(pass, tokens ? chosen : normed, rows, (columns, first, block) => {
      this.#recordProduct(pass, reference, referenceRows, block, product);
      const tensors = { product: this.#product, reference: product, reference_row: referenceRow, state, result };
      pass.run(
        comparePredictions,
        { ...tensors, target_token: this.#targets },
        { rows, columns, first, vocabulary: vocabSize, references: referenceRows },
        { LANES: this.#rowLanes, SOFT_CAP: this.#config.finalSoftCap ?? 0 },
      );
    });
    return result;
  }

  /**
   * Records sums of the probabilities of next tokens; see {@link Decoder.recordProbabilitySums}. Both products with the vocabulary are
   * computed once more, since a probability needs the sum over all of it.
   *
   * @param pass Where to record, behind {@link recordComparison} of all tokens.
   * @param reference As it was given to that.
   * @param tokens Tokens of that forward pass.
   * @param chosen u32: flat indices of the tokens whose predictions count,
   * @param count and how many these are.
   * @param sums f32 [2, vocabulary], overwritten.
   */
  recordProbabilitySums(
    pass: Pass,
    reference: Tensor,
    tokens: number,
    chosen: Tensor,
    count: number,
    sums: Tensor,
  ): void {
    if (this.#comparison === null) {
      throw new RangeError("Cannot sum probabilities: predictions must have been compared");
    }
    const { product, state } = this.#comparison, { vocabSize: vocabulary, finalSoftCap } = this.#config;
    this.#recordBlocks(pass, this.#tensors.normed, tokens, (columns, first, block) => {
      this.#recordProduct(pass, reference, tokens, block, product);
      const tensors = { product: this.#product, reference: product, state, chosen_row: chosen, sums };
      const params = { rows: tokens, columns, first, vocabulary, chosen: count };
      pass.run(sumProbabilities, tensors, params, { SOFT_CAP: finalSoftCap ?? 0 });
    });
  }

  /**
   * Records what several forward passes predict; see {@link Decoder.recordPredictions}. Each block of the reference's products is there while
   * all others are held against it, since all of its blocks together may be too many to keep.
   *
   * @param pass Where to record, behind the forward passes.
   * @param batch What went through them.
   * @param reference f32 [tokens, d_model]: what left the final norm in the first,
   * @param changed and in each other.
   * @returns f32 [tokens], the first one's loss; f32 [tokens, 3] of each other: loss, KL(reference || this) and whether both think the same
   * token the most probable.
   */
  recordPredictions(
    pass: Pass,
    { contexts, context, ids }: Pick<TokenBatch, "contexts" | "context" | "ids">,
    reference: Tensor,
    changed: readonly Tensor[],
  ): { readonly loss: Tensor; readonly comparisons: readonly Tensor[] } {
    const { referenceRow: reference_row, product } = this.#comparison ??= this.#createComparison();
    const rows = contexts * context, { vocabSize: vocabulary } = this.#config;
    while (this.#several.length < changed.length) this.#several.push(this.#createComparisonState());
    this.#uploadTargets(context, ids);
    upload(this.#gpu, reference_row, Uint32Array.from({ length: rows }, (_, i) => i));
    let first = 0;
    for (const block of this.#weights.blocks) {
      const { outputs: columns } = block;
      this.#recordProduct(pass, reference, rows, block, product);
      this.#recordBlockLoss(pass, product, rows, columns, first);
      for (const [i, normed] of changed.entries()) {
        this.#recordProduct(pass, normed, rows, block, this.#product);
        const tensors = { product: this.#product, reference: product, reference_row, ...this.#several[i] };
        pass.run(
          comparePredictions,
          { ...tensors, target_token: this.#targets },
          { rows, columns, first, vocabulary, references: rows },
          { LANES: this.#rowLanes, SOFT_CAP: this.#config.finalSoftCap ?? 0 },
        );
      }
      first += columns;
    }
    return { loss: this.#loss, comparisons: changed.map((_, i) => this.#several[i].result) };
  }

  #createComparison(): Comparison {
    const { shape, shape: [maxTokens] } = this.#product;
    return {
      order: createTensor(this.#gpu, "compared tokens", [maxTokens], "u32"),
      referenceRow: createTensor(this.#gpu, "reference of each compared token", [maxTokens], "u32"),
      product: createTensor(this.#gpu, "the reference's products with the vocabulary", shape),
      ...this.#createComparisonState(),
    };
  }

  #createComparisonState(): Pick<Comparison, "state" | "result"> {
    const [maxTokens] = this.#product.shape;
    return {
      state: createTensor(this.#gpu, "comparison state", [maxTokens, 8]),
      result: createTensor(this.#gpu, "comparison", [maxTokens, 3]),
    };
  }

  #recordBlockLoss(pass: Pass, product: Tensor, rows: number, columns: number, first: number): void {
    pass.run(
      nextTokenLoss,
      { product, target_token: this.#targets, state: this.#state, loss: this.#loss },
      { rows, columns, first, vocabulary: this.#config.vocabSize },
      { LANES: this.#rowLanes, SOFT_CAP: this.#config.finalSoftCap ?? 0 },
    );
  }

  /** Of some tokens, or of all. */
  #uploadTargets(context: number, ids: Uint32Array<ArrayBuffer>, tokens: Uint32Array<ArrayBuffer> | null = null): void {
    const follower = (i: number) => i % context === context - 1 ? NO_TOKEN : ids[i + 1];
    upload(this.#gpu, this.#targets, tokens ? tokens.map(follower) : ids.map((_, i) => follower(i)));
  }

  #recordBlocks(pass: Pass, x: Tensor, rows: number, take: TakeBlock): void {
    let first = 0;
    for (const block of this.#weights.blocks) {
      this.#recordProduct(pass, x, rows, block, this.#product);
      take(block.outputs, first, block);
      first += block.outputs;
    }
  }

  #recordProduct(pass: Pass, x: Tensor, rows: number, { weight, format, inputs, outputs }: Linear, y: Tensor): void {
    const size = { rows, columns: outputs, depth: inputs };
    pass.run(matmul(tileFor(this.#gpu, size), format, "none"), { x, weight, y }, size);
  }
}
