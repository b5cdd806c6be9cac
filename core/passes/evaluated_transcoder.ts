/**
 * A transcoder in an evaluation: encoding, reconstructing and measuring batches of activations, beside the linear map that it is held
 * against.
 * @module
 */

import { columnSquares, cosines, prefixCounts } from "../../wgsl/transcoder/figures.ts";
import { prefixConstants } from "../../wgsl/transcoder/step.ts";
import type { Evaluation } from "../analysis/evaluation.ts";
import { type EvaluatedText, EvaluationSums, type MeasuredReconstructions } from "../analysis/evaluation_sums.ts";
import { createTensor, type Gpu, tensorFrom } from "../gpu/device.ts";
import type { Pass } from "../gpu/run.ts";
import { front, type Tensor } from "../gpu/tensor.ts";
import type { Encoder } from "../transcoder/encode.ts";
import { type TapColumns, tapName } from "../model/sites.ts";
import { type AffineMap, LinearReconstructor } from "../transcoder/linear_map.ts";
import { Reconstructor } from "../transcoder/reconstruct.ts";
import { prefixEnds } from "../transcoder/shape.ts";
import type { PlacedTranscoder } from "./features.ts";
import { weighed } from "./weighed.ts";

/** What is measured of some reconstructions: prefixes, or the linear map as one of them. */
class Measurer {
  /** f32 [reconstructions, d_out]. */
  readonly #columnSquares: Tensor;
  /** f32 [tokens, reconstructions]; null where no mean is known. */
  readonly #cosines: Tensor | null;
  readonly #gpu: Gpu;
  readonly #mean: Tensor | null;
  readonly #squares: Tensor;
  readonly #residuals: Tensor;

  /**
   * @param gpu The device.
   * @param residuals f32 [reconstructions, tokens, d_out] suffix sums of their residuals.
   * @param squares f32 [tokens, reconstructions] the residuals' squared lengths.
   * @param mean f32 [d_out] what cosines are taken about; null where they are not taken.
   */
  constructor(gpu: Gpu, residuals: Tensor, squares: Tensor, mean: Tensor | null) {
    const [reconstructions, tokens, width] = residuals.shape;
    this.#gpu = gpu;
    this.#mean = mean;
    this.#residuals = residuals;
    this.#squares = squares;
    this.#columnSquares = createTensor(gpu, "squared residuals by dimension", [reconstructions, width]);
    this.#cosines = mean && createTensor(gpu, "cosines", [tokens, reconstructions]);
  }

  /** Records measuring what was recorded of `tokens` tokens. */
  record(pass: Pass, y: Tensor, tokens: number): void {
    const [prefixes, , width] = this.#residuals.shape, params = { tokens, width, prefixes };
    pass.run(columnSquares, { residual: this.#residuals, squares: this.#columnSquares }, params);
    if (!this.#mean || !this.#cosines) return;
    const bindings = { target_y: y, mean: this.#mean, residual: this.#residuals, cosine: this.#cosines };
    pass.run(cosines, bindings, params, { LANES: this.#gpu.isCpu ? 8 : 128 });
  }

  /** What is to be read back of so many tokens. */
  measured(tokens: number): Tensor[] {
    return [front(this.#squares, tokens), this.#columnSquares, ...this.#cosines ? [front(this.#cosines, tokens)] : []];
  }
}

function reconstructionsOf([squares, columns, cosines]: readonly ArrayBuffer[]): MeasuredReconstructions {
  return {
    squares: new Float32Array(squares),
    columnSquares: new Float32Array(columns),
    cosines: cosines ? new Float32Array(cosines) : null,
  };
}

/** One transcoder's tensors and sums. */
export class EvaluatedTranscoder {
  /** Its place in the model. */
  readonly config: PlacedTranscoder["config"];
  /** f32 [tokens, d_in]: raw source activations, to be filled before {@link record}. */
  readonly x: Tensor;
  /** f32 [tokens, d_out]: target activations, those of several targets side by side and weighed, likewise. */
  readonly y: Tensor;
  /** f32 [2, d_out]: how raw target activations become {@link y}, as `recordPrepared` reads it. */
  readonly columns: Tensor;
  readonly #placed: PlacedTranscoder;
  readonly #sums: EvaluationSums;
  readonly #encoder: Encoder;
  readonly #reconstructor: Reconstructor;
  /** u32 [tokens, prefixes]. */
  readonly #active: Tensor;
  readonly #prefixes: Measurer;
  readonly #linear: MeasuredMap | null;
  /** The skip connection alone. */
  readonly #skip: MeasuredMap | null;

  /**
   * Uploads what reconstructs and allocates room for one batch.
   *
   * @param gpu The device.
   * @param placed The transcoder, and the linear map that it is held against.
   * @param targets Its targets, side by side.
   * @param encoder What encodes with it.
   * @param tokens The most tokens of a batch; no more than the encoder takes at once.
   * @throws {UserError} When a tensor is larger than the adapter can bind.
   */
  constructor(gpu: Gpu, placed: PlacedTranscoder, targets: readonly TapColumns[], encoder: Encoder, tokens: number) {
    const { shape } = placed.transcoder, ends = prefixEnds(shape.groups);
    const { transcoder, linearMap, columns } = weighed(gpu, placed, targets);
    this.config = placed.config;
    this.#placed = placed;
    this.#encoder = encoder;
    this.#reconstructor = new Reconstructor(gpu, transcoder, tokens);
    this.columns = columns;
    this.x = createTensor(gpu, "evaluated source", [tokens, shape.d_in]);
    this.y = createTensor(gpu, "evaluated target", [tokens, shape.d_out]);
    this.#active = createTensor(gpu, "active features by prefix", [tokens, ends.length], "u32");
    const mean = linearMap ? tensorFrom(gpu, "target mean", [shape.d_out], linearMap.targetMean) : null;
    this.#prefixes = new Measurer(gpu, this.#reconstructor.residuals, this.#reconstructor.squares, mean);
    this.#linear = linearMap ? measuredMap(gpu, linearMap, tokens, mean) : null;
    const { skip: weight, decoderBias: bias } = transcoder.weights;
    this.#skip = weight ? measuredMap(gpu, { weight, bias }, tokens, mean) : null;
    this.#sums = new EvaluationSums(ends, targets.map(({ tap, width }) => ({ target: tapName(tap), width })));
  }

  /**
   * Records encoding, reconstructing and measuring a batch.
   *
   * @param pass Where to record.
   * @param tokens How many rows of {@link x} and {@link y}, from the first.
   */
  record(pass: Pass, tokens: number): void {
    const { x, y } = this, { groups } = this.#placed.transcoder.shape, encoder = this.#encoder;
    encoder.recordEncode(pass, x, tokens);
    encoder.recordFires(pass, tokens);
    const { rowStart, index } = encoder.kept, params = { tokens, prefixes: groups.length };
    const bindings = { row_start: rowStart, index, counts: this.#active };
    pass.run(prefixCounts, bindings, params, prefixConstants(prefixEnds(groups)));
    this.#reconstructor.record(pass, encoder.kept, x, y, tokens);
    this.#prefixes.record(pass, y, tokens);
    for (const map of [this.#linear, this.#skip]) {
      map?.reconstructor.record(pass, x, y, tokens);
      map?.measurer.record(pass, y, tokens);
    }
  }

  /**
   * What is to be read back of a batch.
   *
   * @param tokens How many it had.
   * @returns Tensors, as many and in the same order each time.
   */
  measured(tokens: number): Tensor[] {
    return [
      front(this.y, tokens),
      front(this.#reconstructor.residual, tokens),
      front(this.#active, tokens),
      this.#encoder.fires,
      ...this.#prefixes.measured(tokens),
      ...this.#linear?.measurer.measured(tokens) ?? [],
      ...this.#skip?.measurer.measured(tokens) ?? [],
    ];
  }

  /**
   * Adds a batch up.
   *
   * @param context The context of each token: numbers from 0 without gaps, never falling from one batch to the next.
   * @param document The number of each one's document.
   * @param bytes What was read of {@link measured}.
   */
  add(
    context: ArrayLike<number>,
    document: ArrayLike<number>,
    [target, residual, active, fires, ...measured]: readonly ArrayBuffer[],
  ): void {
    const [prefixes, linear, skip] = [this.#prefixes, this.#linear?.measurer, this.#skip?.measurer].map((measurer) =>
      measurer ? reconstructionsOf(measured.splice(0, measurer.measured(1).length)) : null
    );
    this.#sums.add({
      context,
      document,
      target: new Float32Array(target),
      residual: new Float32Array(residual),
      active: new Uint32Array(active),
      fires: new Uint32Array(fires),
      prefixes: prefixes!,
      linear,
      skip,
    });
  }

  /**
   * The figures over everything added.
   *
   * @param text What they were read from.
   * @returns The content of evaluation.json.
   * @throws {RangeError} When nothing was added.
   */
  result(text: EvaluatedText): Evaluation {
    const { transcoder: { thresholds, topK }, config: { k, imported }, linearMap } = this.#placed;
    const isImported = imported !== undefined;
    return this.#sums.result({ thresholds, k, isImported, topK, linearMapTokens: linearMap?.tokens, text });
  }
}

/** A map of the source, and what is measured of it. */
interface MeasuredMap {
  readonly reconstructor: LinearReconstructor;
  readonly measurer: Measurer;
}

function measuredMap(gpu: Gpu, map: AffineMap, tokens: number, mean: Tensor | null): MeasuredMap {
  const reconstructor = new LinearReconstructor(gpu, map, tokens);
  return { reconstructor, measurer: new Measurer(gpu, reconstructor.residuals, reconstructor.squares, mean) };
}
