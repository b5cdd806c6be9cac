/**
 * Encoding with a finished transcoder: raw activations in, the features above their thresholds out.
 * @module
 */

import { matmulBiasJumpRelu, paddedColumns } from "../../wgsl/shared/matmul.ts";
import { transpose } from "../../wgsl/shared/transpose.ts";
import { columnCount, tokenTopK } from "../../wgsl/transcoder/selection.ts";
import { createTensor, downloadAll, type Gpu, tensorFrom } from "../gpu/device.ts";
import { tileFor } from "../gpu/products.ts";
import { Pass } from "../gpu/run.ts";
import { ELEMENT_BYTES, front, type Tensor } from "../gpu/tensor.ts";
import { featureCount } from "./shape.ts";
import { type Features, Selector } from "./selection.ts";
import type { Transcoder } from "./weights.ts";

/** Features in host memory, sparse by token. */
export interface HostFeatures {
  /** [tokens + 1]: the entries of token b are rowStart[b] .. rowStart[b + 1] - 1. */
  readonly rowStart: Uint32Array<ArrayBuffer>;
  /** Feature numbers, ascending within a token. */
  readonly index: Uint32Array<ArrayBuffer>;
  /** Activations, each above its feature's threshold. */
  readonly value: Float32Array<ArrayBuffer>;
}

/** A dispatch has room for every activation to be kept; this bounds that room (32 MiB each for five tensors). */
const MOST_ENTRIES = 2 ** 23;
/** Entries per token that the first reading expects; a reading that finds more reads again and expects more from then on. */
const FIRST_EXPECTATION = 128;

/**
 * Encodes: f = a where a = relu(x W_enc + b_enc) is above its feature's threshold, strictly, and 0 elsewhere. The product's epilogue does
 * that; where only the k largest of a token count, the others become 0 next. The selection then keeps what is positive, which is what a
 * threshold of 0 means to it.
 */
export class Encoder {
  /** The most tokens that {@link recordEncode} takes at once; {@link encode} takes any number. */
  readonly batchTokens: number;
  /** What the last recorded batch kept. */
  readonly kept: Features;
  /** u32 [features]: how many tokens of the batch keep each feature, once {@link recordFires} ran. */
  readonly fires: Tensor;
  /** f32 [features, tokens]: the same activations as a matrix, 0 where none is kept; `tokens` are those of the last recorded batch. */
  readonly activations: Tensor;
  readonly #gpu: Gpu;
  readonly #width: number;
  readonly #features: number;
  readonly #topK: number;
  readonly #encoder: Tensor;
  readonly #bias: Tensor;
  readonly #thresholds: Tensor;
  readonly #x: Tensor;
  readonly #xTransposed: Tensor;
  readonly #selector: Selector;
  readonly #everyone: { readonly inactive: Tensor; readonly minInactive: number };
  #expectation = FIRST_EXPECTATION;

  /**
   * Uploads the encoder and allocates room for one dispatch.
   *
   * @param gpu The device.
   * @param transcoder What to encode with.
   * @param maxTokens The most tokens to encode in one dispatch; less where the dictionary is very large.
   * @throws {UserError} When a tensor is larger than the adapter can bind.
   */
  constructor(gpu: Gpu, { shape, weights, thresholds, topK }: Transcoder, maxTokens: number) {
    const features = featureCount(shape.groups);
    const entries = Math.min(MOST_ENTRIES, Math.floor(gpu.limits.maxStorageBufferBindingSize / ELEMENT_BYTES));
    const tokens = Math.min(maxTokens, Math.max(1, Math.floor(entries / features)));
    this.batchTokens = tokens;
    this.#gpu = gpu;
    this.#width = shape.d_in;
    this.#features = features;
    this.#topK = topK ?? features;
    this.#encoder = tensorFrom(gpu, "W_enc", [features, shape.d_in], weights.encoder);
    this.#bias = tensorFrom(gpu, "b_enc", [features], weights.encoderBias);
    // Activations are never negative, so a threshold below 0 is the same as 0.
    const least = thresholds.map((threshold) => Math.max(0, threshold));
    this.#thresholds = tensorFrom(gpu, "threshold", [features], least);
    this.#x = createTensor(gpu, "source", [tokens, shape.d_in]);
    this.#xTransposed = createTensor(gpu, "source transposed", [shape.d_in, paddedColumns(tokens)]);
    this.activations = createTensor(gpu, "activations", [features, tokens]);
    this.#selector = new Selector(gpu, "active", tokens, features, tokens * features);
    this.kept = this.#selector.rows;
    this.fires = createTensor(gpu, "fires", [features], "u32");
    this.#everyone = { inactive: createTensor(gpu, "inactive", [features], "u32"), minInactive: 0 };
  }

  /**
   * Records encoding one batch into {@link kept}.
   *
   * @param pass Where to record.
   * @param x f32 [.., d_in] raw source activations.
   * @param tokens How many, from 1 to {@link batchTokens}.
   * @param first The first of them, as a row of x.
   * @throws {RangeError} When there are more tokens than fit.
   */
  recordEncode(pass: Pass, x: Tensor, tokens: number, first = 0): void {
    const d_in = this.#width;
    let source = x;
    if (first > 0) {
      pass.copy(x, first * d_in, this.#x, 0, tokens * d_in);
      source = this.#x;
    }
    const padded = paddedColumns(tokens);
    pass.run(transpose, { x: source, y: this.#xTransposed }, { rows: tokens, columns: d_in, padded_rows: padded });
    const size = { rows: this.#features, columns: tokens, depth: d_in };
    pass.run(
      matmulBiasJumpRelu(tileFor(this.#gpu, size)),
      {
        x: this.#encoder,
        weight: this.#xTransposed,
        bias: this.#bias,
        threshold: this.#thresholds,
        y: this.activations,
      },
      size,
    );
    if (this.#topK < this.#features) {
      const params = { tokens, features: this.#features, wanted: this.#topK };
      pass.run(tokenTopK, { activations: this.activations }, params, { LANES: this.#gpu.isCpu ? 8 : 64 });
    }
    this.#selector.recordRows(pass, this.activations, tokens, this.#everyone);
  }

  /**
   * Records counting {@link fires}, after {@link recordEncode} of the same batch.
   *
   * @param pass Where to record.
   * @param tokens Tokens of the batch.
   */
  recordFires(pass: Pass, tokens: number): void {
    pass.run(
      columnCount,
      {
        activations: this.activations,
        inactive: this.#everyone.inactive,
        selection: this.#selector.selection,
        count: this.fires,
      },
      { tokens, features: this.#features, min_inactive: 0 },
      { LANES: this.#gpu.isCpu ? 8 : 64 },
    );
  }

  /**
   * Encodes and reads the features back: one wait for up to {@link batchTokens} tokens, a second one where more features are active
   * than any batch before had.
   *
   * @param x f32 [.., d_in] raw source activations; work on them may still be under way.
   * @param tokens How many rows of x, from the first.
   * @returns The features of each token.
   * @throws {UserError} When the device fails.
   */
  async encode(x: Tensor, tokens: number): Promise<HostFeatures> {
    const parts: HostFeatures[] = [];
    for (let first = 0; first < tokens; first += this.batchTokens) {
      const count = Math.min(this.batchTokens, tokens - first);
      const pass = new Pass(this.#gpu);
      this.recordEncode(pass, x, count, first);
      pass.submit();
      parts.push(await this.readKept(count));
    }
    return joinFeatures(parts);
  }

  /**
   * Reads back what the last submitted batch kept; see {@link encode}.
   *
   * @param tokens Tokens of the batch.
   * @returns The features of each token.
   * @throws {UserError} When the device fails.
   */
  async readKept(tokens: number): Promise<HostFeatures> {
    const { rowStart, index, value } = this.kept;
    const expected = Math.min(tokens * this.#expectation, tokens * this.#features);
    const read = (...tensors: Tensor[]) => downloadAll(this.#gpu, tensors);
    let [starts, indices, values] = await read(
      front(rowStart, tokens + 1),
      front(index, expected),
      front(value, expected),
    );
    const total = new Uint32Array(starts)[tokens];
    if (total > expected) {
      this.#expectation = Math.ceil(1.25 * total / tokens);
      [indices, values] = await read(front(index, total), front(value, total));
    }
    return {
      rowStart: new Uint32Array(starts),
      index: new Uint32Array(indices).subarray(0, total),
      value: new Float32Array(values).subarray(0, total),
    };
  }
}

/**
 * Puts the features of consecutive tokens together.
 *
 * @param parts Those of some tokens, of the tokens behind them, and so on.
 * @returns The features of all.
 */
export function joinFeatures(parts: readonly HostFeatures[]): HostFeatures {
  if (parts.length === 1) return parts[0];
  const tokens = parts.reduce((sum, { rowStart }) => sum + rowStart.length - 1, 0);
  const total = parts.reduce((sum, { index }) => sum + index.length, 0);
  const all = { rowStart: new Uint32Array(tokens + 1), index: new Uint32Array(total), value: new Float32Array(total) };
  let token = 0, entry = 0;
  for (const { rowStart, index, value } of parts) {
    all.index.set(index, entry);
    all.value.set(value, entry);
    for (const start of rowStart.subarray(1)) all.rowStart[++token] = entry + start;
    entry += index.length;
  }
  return all;
}
