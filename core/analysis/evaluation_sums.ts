/**
 * What makes the figures of a transcoder on held-out text, summed in float64 from what the GPU measured batch by batch.
 * @module
 */

import {
  type DimensionSums,
  drawResamples,
  type Interval,
  interval95,
  LEAST_RESAMPLED,
  resampledMeanRatios,
  resampledSquaredLengths,
  resampledSums,
} from "./bootstrap.ts";
import {
  DEFINITIONS_OF_IMPORTS,
  DEFINITIONS_OF_LISTED_DOCUMENTS,
  DEFINITIONS_OF_OUTLIERS,
  DEFINITIONS_OF_SEVERAL_TARGETS,
  DEFINITIONS_OF_THE_LINEAR_MAP,
  DEFINITIONS_OF_THE_SKIP_CONNECTION,
  DEFINITIONS_OF_THRESHOLDS,
  DEFINITIONS_OF_TOP_K,
  EVALUATION_DEFINITIONS,
} from "./definitions.ts";
import { type DocumentFvu, type Evaluation, LISTED_DOCUMENTS, type ReconstructionFigures } from "./evaluation.ts";
import { SaebenchSums } from "./saebench.ts";
import { quantile } from "./statistics.ts";
import { type EvaluatedTarget, meanRatio, targetFigures } from "./target_figures.ts";
import { varianceSpread } from "./target_variance.ts";
import { summarizeThresholds } from "./threshold_summary.ts";

/** What one transcoder did with some tokens. All rows are tokens, BOS already left out. */
export interface MeasuredBatch {
  /** [tokens] the context of each token: numbers that never fall from one batch to the next. */
  readonly context: ArrayLike<number>;
  /** [tokens] the document of each token's context, which has tokens of no other. */
  readonly document: ArrayLike<number>;
  /** [tokens, d_out] the target y. */
  readonly target: Float32Array;
  /** [tokens, d_out] y_hat - y with all features. */
  readonly residual: Float32Array;
  /** [tokens, prefixes] how many features of the prefix are active. */
  readonly active: Uint32Array;
  /** [features] on how many of the tokens each feature is active. */
  readonly fires: Uint32Array;
  /** What was measured of the prefixes. */
  readonly prefixes: MeasuredReconstructions;
  /** What was measured of the linear map, as of one prefix; null where there is none. */
  readonly linear: MeasuredReconstructions | null;
  /** Likewise of the skip connection alone. */
  readonly skip: MeasuredReconstructions | null;
}

/** What was measured of some reconstructions of the same tokens, at the same places of each array. */
export interface MeasuredReconstructions {
  /** [tokens, reconstructions] |y_hat - y|^2. */
  readonly squares: Float32Array;
  /** [reconstructions, d_out] sum over the tokens of (y_hat - y)^2. */
  readonly columnSquares: Float32Array;
  /** [tokens, reconstructions] cosine between y and y_hat, both less a mean; null where there is no linear map, and no mean is known. */
  readonly cosines: Float32Array | null;
}

/** What an evaluation says beside its measurements. */
export interface EvaluatedSettings {
  /** The inference threshold of each feature. */
  readonly thresholds: Float32Array;
  /** Features kept per token in training; what stands for that of a transcoder that was trained elsewhere. */
  readonly k: number;
  /** Whether it was. */
  readonly isImported?: boolean;
  /** The most features of a token that count, where that is limited. */
  readonly topK?: number;
  /** Training tokens that the linear map was fitted on; left out where there is none. */
  readonly linearMapTokens?: number;
  /** The part of the text that was read. */
  readonly text: EvaluatedText;
}

/** What an evaluation says of the text that it read. */
export interface EvaluatedText {
  /** Which held-out part it is. */
  readonly split: "validation" | "test";
  /** Documents of that part, read or not; null when nobody counted them. */
  readonly documents: number | null;
  /** Tokens that were left out for their ids. */
  readonly excluded: number;
  /** Tokens that were left out for their norms; undefined where norms do not matter. */
  readonly outliers?: number;
  /** The name of a document by its number in {@link MeasuredBatch}. */
  documentName(document: number): string;
}

/**
 * The sums over one context, or over all contexts of a document. Reconstructions are those of the prefixes, and behind them that of the
 * linear map and that of the skip connection alone.
 */
interface ContextSums {
  readonly document: number;
  tokens: number;
  /** sum y, [d_out] */
  readonly target: Float64Array;
  /** sum |y|^2 */
  targetSquares: number;
  /** sum |y_hat - y|^2, [reconstructions] */
  readonly residualSquares: Float64Array;
  /** sum of the cosines, [reconstructions] */
  readonly cosines: Float64Array;
  /** sum of active features, [prefixes] */
  readonly active: Float64Array;
  /** sum (y - y_0)^2 by dimension, [d_out], y_0 being the very first token's: so that what does not vary has exactly none */
  readonly dimensionSquares: Float64Array;
  /** sum (y_hat - y)^2 by dimension, [d_out], of the whole dictionary */
  readonly dimensionResiduals: Float64Array;
}

/** The sums of {@link ContextSums} that are vectors. */
const VECTORS = ["target", "residualSquares", "cosines", "active", "dimensionSquares", "dimensionResiduals"] as const;

/** Adds up measurements; memory grows with contexts * d_out and with tokens. */
export class EvaluationSums {
  readonly #prefixEnds: readonly number[];
  readonly #targets: readonly EvaluatedTarget[];
  /** d_out */
  readonly #width: number;
  readonly #contexts: ContextSums[] = [];
  /** The number of the last one. */
  #number: number | null = null;
  /** sum of y_hat - y, [d_out] */
  readonly #residual: Float64Array;
  /** sum (y_hat - y)^2 by dimension, [d_out] of each reconstruction */
  readonly #columnSquares: readonly Float64Array[];
  /** [features] tokens that each is active on. */
  readonly #fires: Float64Array;
  readonly #saebench: SaebenchSums;
  #hasSkip = false;
  readonly #activePerToken: number[] = [];
  /** The first token's target. */
  #origin: Float32Array | null = null;

  /**
   * Starts at zero.
   *
   * @param prefixEnds The end of each Matryoshka prefix, ascending; the last is the number of features.
   * @param targets What is predicted, from left to right.
   */
  constructor(prefixEnds: readonly number[], targets: readonly EvaluatedTarget[]) {
    const width = total(targets.map((target) => target.width));
    this.#prefixEnds = prefixEnds;
    this.#targets = targets;
    this.#width = width;
    this.#residual = new Float64Array(width);
    this.#columnSquares = [...prefixEnds, "linear map", "skip"].map(() => new Float64Array(width));
    this.#fires = new Float64Array(prefixEnds[prefixEnds.length - 1]);
    this.#saebench = new SaebenchSums(width);
  }

  /**
   * Adds a batch.
   *
   * @param batch Its measurements.
   */
  add(batch: MeasuredBatch): void {
    const { context, document, target, residual, active, fires } = batch;
    const width = this.#width, prefixes = this.#prefixEnds.length, residualSum = this.#residual;
    const origin = this.#origin ??= target.slice(0, width);
    const sums = Array.from({ length: context.length }, (_, b) => this.#context(context[b], document[b]));
    for (let b = 0; b < context.length; b++) {
      const { target: targetSum, dimensionSquares, dimensionResiduals } = sums[b];
      let square = 0, reconstructed = 0, product = 0, error = 0;
      for (let d = 0, at = b * width; d < width; d++, at++) {
        const y = target[at], r = residual[at], apart = y - origin[d], y_hat = y + r;
        targetSum[d] += y;
        square += y * y;
        reconstructed += y_hat * y_hat;
        product += y * y_hat;
        error += r * r;
        residualSum[d] += r;
        dimensionSquares[d] += apart * apart;
        dimensionResiduals[d] += r * r;
      }
      sums[b].targetSquares += square;
      this.#saebench.add(square, reconstructed, product, error);
      for (let p = 0; p < prefixes; p++) sums[b].active[p] += active[b * prefixes + p];
      sums[b].tokens++;
      this.#activePerToken.push(active[b * prefixes + prefixes - 1]);
    }
    this.#addReconstructions(sums, batch.prefixes, 0, prefixes);
    if (batch.linear) this.#addReconstructions(sums, batch.linear, prefixes, 1);
    if (batch.skip) this.#addReconstructions(sums, batch.skip, prefixes + 1, 1);
    this.#hasSkip ||= batch.skip !== null;
    for (let i = 0; i < this.#fires.length; i++) this.#fires[i] += fires[i];
  }

  #addReconstructions(
    sums: readonly ContextSums[],
    { squares, columnSquares, cosines }: MeasuredReconstructions,
    first: number,
    count: number,
  ): void {
    for (let b = 0; b < sums.length; b++) {
      const { residualSquares, cosines: cosineSums } = sums[b];
      for (let r = 0, at = b * count; r < count; r++, at++) {
        residualSquares[first + r] += squares[at];
        if (cosines) cosineSums[first + r] += cosines[at];
      }
    }
    for (let at = 0; at < columnSquares.length; at++) {
      this.#columnSquares[first + Math.floor(at / this.#width)][at % this.#width] += columnSquares[at];
    }
  }

  /**
   * The figures over everything added; see {@link EVALUATION_DEFINITIONS}.
   *
   * @param settings What is not measured here.
   * @returns The content of evaluation.json.
   * @throws {RangeError} When nothing was added.
   */
  result({ thresholds, k, isImported, topK, linearMapTokens, text }: EvaluatedSettings): Evaluation {
    if (this.#contexts.length === 0) throw new RangeError("Cannot evaluate: there must be a token, there is none");
    const documents = this.#documents(),
      resampled = documents.length < LEAST_RESAMPLED ? "contexts" : "documents";
    const units = resampled === "documents" ? documents : this.#contexts, last = this.#prefixEnds.length - 1;
    const { tokens, meanSquares, grandMeanSquares, targetSquares } = this.#totals();
    const variance = targetSquares - meanSquares;
    const residualSquares = total(units.map((unit) => unit.residualSquares[last]));
    const residualMeanSquares = squaredLength(this.#residual) / tokens;
    const { resampledVariance, resamples, resampledTokens } = resample(units);
    const dimensions = dimensionsOf(units, this.#origin!), variances = variancesOf(dimensions, tokens);
    const meanPerToken = (sums: readonly number[]): [mean: number, ci95: Interval] => [
      total(sums) / tokens,
      interval95(resampledSums(resamples, sums).map((sum, r) => sum / resampledTokens[r])),
    ];
    const reconstruction = (which: number): ReconstructionFigures => {
      const squares = units.map((unit) => unit.residualSquares[which]);
      const [cosine, cosine_ci95] = meanPerToken(units.map((unit) => unit.cosines[which]));
      return {
        fvu: total(squares) / variance,
        ci95: interval95(resampledSums(resamples, squares).map((sum, r) => sum / resampledVariance[r])),
        fvu_unit_variance: meanRatio(this.#columnSquares[which], variances),
        ...linearMapTokens !== undefined && { cosine, cosine_ci95 },
      };
    };
    const prefixes = this.#prefixEnds.map((prefix, p) => {
      const [l0, l0_ci95] = meanPerToken(units.map((unit) => unit.active[p]));
      return { prefix, ...reconstruction(p), l0, l0_ci95 };
    });
    const { fvu, ci95, fvu_unit_variance, cosine, cosine_ci95, l0, l0_ci95 } = prefixes[last];
    const perTarget = this.#targets.length > 1 && targetFigures(this.#targets, {
      ...{ prefixEnds: this.#prefixEnds, columnSquares: this.#columnSquares, variances, units: dimensions },
      ...{ resamples, resampledTokens, hasLinearMap: linearMapTokens !== undefined },
    });
    const threshold = summarizeThresholds(thresholds);
    const each = this.#perDocument(documents, text), isListed = each.length <= LISTED_DOCUMENTS;
    const deadFeatures = this.#fires.reduce((dead, fires) => dead + (fires === 0 ? 1 : 0), 0);
    return {
      tokens,
      contexts: this.#contexts.length,
      split: text.split,
      excluded_tokens: text.excluded,
      ...text.outliers !== undefined && { outlier_tokens: text.outliers },
      documents: documents.length,
      split_documents: text.documents,
      resampled,
      ...threshold,
      fvu,
      fvu_ci95: ci95,
      fvu_per_prefix: prefixes,
      ...perTarget && { fvu_per_target: perTarget },
      fvu_over_documents: spreadOf(each),
      ...isListed && { fvu_per_document: each },
      fvu_unit_variance,
      fvu_unit_variance_ci95: interval95(resampledMeanRatios(resamples, resampledTokens, dimensions)),
      target_variance: varianceSpread(variances),
      ...linearMapTokens !== undefined && {
        ...{ cosine, cosine_ci95 },
        linear_map: { tokens: linearMapTokens, ...reconstruction(last + 1) },
      },
      ...this.#hasSkip && { skip_alone: reconstruction(last + 2) },
      explained_variance: 1 - (residualSquares - residualMeanSquares) / variance,
      fvu_all_elements: residualSquares / (targetSquares - grandMeanSquares),
      l0,
      l0_ci95,
      l0_quantiles: activeQuantiles(this.#activePerToken),
      k,
      dead_features: deadFeatures,
      dead_fraction: deadFeatures / this.#fires.length,
      saebench: this.#saebench.result(l0, this.#fires),
      definitions: {
        ...EVALUATION_DEFINITIONS,
        ...isListed && DEFINITIONS_OF_LISTED_DOCUMENTS,
        ...text.outliers !== undefined && DEFINITIONS_OF_OUTLIERS,
        ...threshold.threshold_range && DEFINITIONS_OF_THRESHOLDS,
        ...topK !== undefined && DEFINITIONS_OF_TOP_K,
        ...isImported && DEFINITIONS_OF_IMPORTS,
        ...perTarget && DEFINITIONS_OF_SEVERAL_TARGETS,
        ...this.#hasSkip && DEFINITIONS_OF_THE_SKIP_CONNECTION,
        ...linearMapTokens !== undefined && DEFINITIONS_OF_THE_LINEAR_MAP,
      },
    };
  }

  #context(number: number, document: number): ContextSums {
    if (number !== this.#number) this.#contexts.push(this.#zero(document));
    this.#number = number;
    return this.#contexts[this.#contexts.length - 1];
  }

  #zero(document: number): ContextSums {
    const width = this.#width, prefixes = this.#prefixEnds.length;
    return {
      document,
      tokens: 0,
      target: new Float64Array(width),
      targetSquares: 0,
      residualSquares: new Float64Array(prefixes + 2),
      cosines: new Float64Array(prefixes + 2),
      active: new Float64Array(prefixes),
      dimensionSquares: new Float64Array(width),
      dimensionResiduals: new Float64Array(width),
    };
  }

  /** The sums over each document, in the order in which they first come. */
  #documents(): ContextSums[] {
    const documents = new Map<number, ContextSums>();
    for (const context of this.#contexts) {
      const sums = documents.get(context.document) ?? this.#zero(context.document);
      documents.set(context.document, sums);
      sums.tokens += context.tokens;
      sums.targetSquares += context.targetSquares;
      for (const name of VECTORS) addTo(sums[name], context[name]);
    }
    return [...documents.values()];
  }

  /** Each document's squared error over its squared distance from the mean of all tokens, so that fvu is their weighted mean. */
  #perDocument(documents: readonly ContextSums[], { documentName }: EvaluatedText): DocumentFvu[] {
    const { tokens, sum } = this.#totals(), mean = sum.map((value) => value / tokens);
    const meanSquare = squaredLength(mean), last = this.#prefixEnds.length - 1;
    return documents.map(({ document, tokens, target, targetSquares, residualSquares }) => {
      const along = target.reduce((sum, value, d) => sum + value * mean[d], 0);
      const fvu = residualSquares[last] / (targetSquares - 2 * along + tokens * meanSquare);
      return { document: documentName(document), tokens, fvu };
    });
  }

  /** n, sum |y|^2, n |mean(y)|^2 with the mean per dimension, and the same with the mean over all elements. */
  #totals() {
    const tokens = total(this.#contexts.map((context) => context.tokens));
    const sum = sumOf(this.#contexts.map((context) => context.target));
    return {
      tokens,
      sum,
      targetSquares: total(this.#contexts.map((context) => context.targetSquares)),
      meanSquares: squaredLength(sum) / tokens,
      grandMeanSquares: total(sum) ** 2 / (tokens * this.#width),
    };
  }
}

/** The resamples of documents or contexts, and the tokens and the variance (about its own mean) of each. */
function resample(units: readonly ContextSums[]) {
  const resamples = drawResamples(units.length);
  const resampledTokens = resampledSums(resamples, units.map((unit) => unit.tokens));
  const squares = resampledSums(resamples, units.map((unit) => unit.targetSquares));
  const lengths = resampledSquaredLengths(resamples, units.map((unit) => unit.target));
  const resampledVariance = squares.map((sum, r) => sum - lengths[r] / resampledTokens[r]);
  return { resamples, resampledTokens, resampledVariance };
}

function spreadOf(documents: readonly DocumentFvu[]): Evaluation["fvu_over_documents"] {
  const ascending = documents.toSorted((a, b) => a.fvu - b.fvu);
  const median = quantile(Float64Array.from(ascending, ({ fvu }) => fvu), 0.5);
  return { min: ascending[0], median, max: ascending[ascending.length - 1] };
}

/** The sums by dimension, targets counted from the first token's. */
function dimensionsOf(units: readonly ContextSums[], origin: Float32Array): DimensionSums[] {
  return units.map(({ tokens, target, dimensionSquares, dimensionResiduals }) => ({
    target: target.map((sum, d) => sum - tokens * origin[d]),
    targetSquares: dimensionSquares,
    residualSquares: dimensionResiduals,
  }));
}

/** [width] sum (y - mean(y))^2 of each dimension. */
function variancesOf(units: readonly DimensionSums[], tokens: number): Float64Array {
  const targets = sumOf(units.map(({ target }) => target));
  return sumOf(units.map(({ targetSquares }) => targetSquares)).map((sum, d) => sum - targets[d] ** 2 / tokens);
}

function sumOf(vectors: readonly Float64Array[]): Float64Array {
  const sum = new Float64Array(vectors[0].length);
  for (const vector of vectors) addTo(sum, vector);
  return sum;
}

function addTo(sum: Float64Array, vector: Float64Array): void {
  for (let d = 0; d < sum.length; d++) sum[d] += vector[d];
}

function total(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum;
}

function squaredLength(vector: Float64Array): number {
  return vector.reduce((sum, value) => sum + value * value, 0);
}

function activeQuantiles(activePerToken: readonly number[]): Evaluation["l0_quantiles"] {
  const ascending = Float64Array.from(activePerToken).sort();
  const at = (q: number) => quantile(ascending, q);
  return { p05: at(0.05), p25: at(0.25), p50: at(0.5), p75: at(0.75), p95: at(0.95) };
}
