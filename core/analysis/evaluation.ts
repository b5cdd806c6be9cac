/**
 * The figures of a transcoder on held-out text, summed in float64 from what the GPU measured batch by batch.
 * @module
 */

import { drawResamples, type Interval, interval95, resampledSquaredLengths, resampledSums } from "./bootstrap.ts";
import { DEFINITIONS_OF_LISTED_DOCUMENTS, DEFINITIONS_OF_THRESHOLDS, EVALUATION_DEFINITIONS } from "./definitions.ts";
import { quantile } from "./statistics.ts";
import { summarizeThresholds } from "./threshold_summary.ts";

/** The figures of a transcoder on held-out text with threshold inference; {@link EVALUATION_DEFINITIONS} defines each. */
export interface Evaluation {
  /** Held-out tokens that were counted. */
  tokens: number;
  /** Held-out contexts they lie in. */
  contexts: number;
  /** Which held-out part they are of; absent, like all that concerns documents, where an mtc before 0.2 evaluated. */
  split?: "validation" | "test";
  /** Tokens of these contexts that do not count for their ids: special ones, and those of `--exclude-tokens`. */
  excluded_tokens?: number;
  /** Documents that they are of. */
  documents?: number;
  /** Documents of that part; null when the text is read as a stream, which nobody counts. */
  split_documents?: number | null;
  /** What the intervals resample. */
  resampled?: "documents" | "contexts";
  /** The FVU of single documents: the least, the median and the largest. */
  fvu_over_documents?: { min: DocumentFvu; median: number; max: DocumentFvu };
  /** Each document's; only there where they are at most {@link LISTED_DOCUMENTS}. */
  fvu_per_document?: DocumentFvu[];
  /** The inference threshold; where features have thresholds of their own, the median of the finite ones. */
  threshold: number;
  /** The least and the largest finite threshold; only there where they differ. */
  threshold_range?: [least: number, most: number];
  /** Fraction of variance unexplained by the whole dictionary. */
  fvu: number;
  /** Its interval. */
  fvu_ci95: Interval;
  /** Likewise for each Matryoshka prefix, shortest first. */
  fvu_per_prefix: { prefix: number; fvu: number; ci95: Interval }[];
  /** Explained variance as dictionary_learning defines it. */
  explained_variance: number;
  /** FVU against the variance over all elements, as the original project computed it. */
  fvu_all_elements: number;
  /** Mean number of active features per token. */
  l0: number;
  /** Its interval. */
  l0_ci95: Interval;
  /** Quantiles over tokens of the number of active features. */
  l0_quantiles: { p05: number; p25: number; p50: number; p75: number; p95: number };
  /** The k of the training, to hold `l0` against. */
  k: number;
  /** Features that are active on no held-out token. */
  dead_features: number;
  /** `dead_features` divided by the number of features. */
  dead_fraction: number;
  /** One sentence per metric that says exactly what it is. */
  definitions: Record<string, string>;
}

/** One document's figure. */
export interface DocumentFvu {
  /** Its name. */
  document: string;
  /** Its tokens that were counted. */
  tokens: number;
  /** Fraction of variance unexplained, by the whole dictionary. */
  fvu: number;
}

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
  /** [tokens, prefixes] |y_hat_p - y|^2. */
  readonly squares: Float32Array;
  /** [tokens + 1] ascending: token b has rowStart[b + 1] - rowStart[b] active features. */
  readonly rowStart: Uint32Array;
  /** [features] on how many of the tokens each feature is active. */
  readonly fires: Uint32Array;
}

/** What an evaluation says beside its measurements. */
export interface EvaluatedSettings {
  /** The inference threshold of each feature. */
  readonly thresholds: Float32Array;
  /** Features kept per token in training. */
  readonly k: number;
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
  /** The name of a document by its number in {@link MeasuredBatch}. */
  documentName(document: number): string;
}

/** Documents are listed one by one up to so many. */
export const LISTED_DOCUMENTS = 50;
/** Resamples of fewer documents than this are too few to tell anything: 5 can be drawn in 126 ways. */
const LEAST_RESAMPLED = 5;

/** The sums over one context, or over all contexts of a document. */
interface ContextSums {
  readonly document: number;
  tokens: number;
  /** sum y, [d_out] */
  readonly target: Float64Array;
  /** sum |y|^2 */
  targetSquares: number;
  /** sum |y_hat_p - y|^2, [prefixes] */
  readonly residualSquares: Float64Array;
  /** sum of active features */
  active: number;
}

/** Adds up measurements; memory grows with contexts * d_out and with tokens. */
export class EvaluationSums {
  readonly #prefixEnds: readonly number[];
  readonly #width: number;
  readonly #contexts: ContextSums[] = [];
  /** The number of the last one. */
  #number: number | null = null;
  /** sum of y_hat - y, [d_out] */
  readonly #residual: Float64Array;
  readonly #fired: Uint8Array;
  readonly #activePerToken: number[] = [];

  /**
   * Starts at zero.
   *
   * @param prefixEnds The end of each Matryoshka prefix, ascending; the last is the number of features.
   * @param width d_out.
   */
  constructor(prefixEnds: readonly number[], width: number) {
    this.#prefixEnds = prefixEnds;
    this.#width = width;
    this.#residual = new Float64Array(width);
    this.#fired = new Uint8Array(prefixEnds[prefixEnds.length - 1]);
  }

  /**
   * Adds a batch.
   *
   * @param batch Its measurements.
   */
  add({ context, document, target, residual, squares, rowStart, fires }: MeasuredBatch): void {
    const width = this.#width, prefixes = this.#prefixEnds.length, residualSum = this.#residual;
    for (let b = 0; b < context.length; b++) {
      const sums = this.#context(context[b], document[b]), targetSum = sums.target;
      let square = 0;
      for (let d = 0, at = b * width; d < width; d++, at++) {
        const y = target[at];
        targetSum[d] += y;
        square += y * y;
        residualSum[d] += residual[at];
      }
      sums.targetSquares += square;
      for (let p = 0; p < prefixes; p++) sums.residualSquares[p] += squares[b * prefixes + p];
      const active = rowStart[b + 1] - rowStart[b];
      sums.active += active;
      sums.tokens++;
      this.#activePerToken.push(active);
    }
    for (let i = 0; i < this.#fired.length; i++) if (fires[i] > 0) this.#fired[i] = 1;
  }

  /**
   * The figures over everything added; see {@link EVALUATION_DEFINITIONS}.
   *
   * @param settings What is not measured here.
   * @returns The content of evaluation.json.
   * @throws {RangeError} When nothing was added.
   */
  result({ thresholds, k, text }: EvaluatedSettings): Evaluation {
    if (this.#contexts.length === 0) throw new RangeError("Cannot evaluate: there must be a token, there is none");
    const documents = this.#documents(), resampled = documents.length < LEAST_RESAMPLED ? "contexts" : "documents";
    const units = resampled === "documents" ? documents : this.#contexts;
    const prefixes = this.#prefixEnds.map((prefix, p) => ({ prefix, ...errorsOf(units, p) }));
    const { tokens, meanSquares, grandMeanSquares, targetSquares } = this.#totals();
    const variance = targetSquares - meanSquares;
    const { squares: residualSquares } = prefixes[prefixes.length - 1];
    const residualMeanSquares = squaredLength(this.#residual) / tokens;
    const { resampledVariance, resamples, resampledTokens } = resample(units);
    const fvus = prefixes.map(({ prefix, squares, perUnit }) => ({
      prefix,
      fvu: squares / variance,
      ci95: interval95(resampledSums(resamples, perUnit).map((sum, r) => sum / resampledVariance[r])),
    }));
    const whole = fvus[fvus.length - 1];
    const threshold = summarizeThresholds(thresholds);
    const active = units.map((unit) => unit.active), each = this.#perDocument(documents, text);
    const isListed = each.length <= LISTED_DOCUMENTS;
    const deadFeatures = this.#fired.reduce((dead, fired) => dead + (fired === 0 ? 1 : 0), 0);
    return {
      tokens,
      contexts: this.#contexts.length,
      split: text.split,
      excluded_tokens: text.excluded,
      documents: documents.length,
      split_documents: text.documents,
      resampled,
      ...threshold,
      fvu: whole.fvu,
      fvu_ci95: whole.ci95,
      fvu_per_prefix: fvus,
      fvu_over_documents: spreadOf(each),
      ...isListed ? { fvu_per_document: each } : {},
      explained_variance: 1 - (residualSquares - residualMeanSquares) / variance,
      fvu_all_elements: residualSquares / (targetSquares - grandMeanSquares),
      l0: total(active) / tokens,
      l0_ci95: interval95(resampledSums(resamples, active).map((sum, r) => sum / resampledTokens[r])),
      l0_quantiles: activeQuantiles(this.#activePerToken),
      k,
      dead_features: deadFeatures,
      dead_fraction: deadFeatures / this.#fired.length,
      definitions: {
        ...EVALUATION_DEFINITIONS,
        ...isListed ? DEFINITIONS_OF_LISTED_DOCUMENTS : {},
        ...threshold.threshold_range ? DEFINITIONS_OF_THRESHOLDS : {},
      },
    };
  }

  #context(number: number, document: number): ContextSums {
    if (number !== this.#number) this.#contexts.push(this.#zero(document));
    this.#number = number;
    return this.#contexts[this.#contexts.length - 1];
  }

  #zero(document: number): ContextSums {
    return {
      document,
      tokens: 0,
      target: new Float64Array(this.#width),
      targetSquares: 0,
      residualSquares: new Float64Array(this.#prefixEnds.length),
      active: 0,
    };
  }

  /** The sums over each document, in the order in which they first come. */
  #documents(): ContextSums[] {
    const documents = new Map<number, ContextSums>();
    for (const context of this.#contexts) {
      const sums = documents.get(context.document) ?? this.#zero(context.document);
      documents.set(context.document, sums);
      sums.tokens += context.tokens;
      context.target.forEach((value, d) => sums.target[d] += value);
      sums.targetSquares += context.targetSquares;
      context.residualSquares.forEach((value, p) => sums.residualSquares[p] += value);
      sums.active += context.active;
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
    const sum = new Float64Array(this.#width);
    for (const { target } of this.#contexts) target.forEach((value, d) => sum[d] += value);
    return {
      tokens,
      sum,
      targetSquares: total(this.#contexts.map((context) => context.targetSquares)),
      meanSquares: squaredLength(sum) / tokens,
      grandMeanSquares: total(sum) ** 2 / (tokens * this.#width),
    };
  }
}

function errorsOf(units: readonly ContextSums[], p: number): { squares: number; perUnit: number[] } {
  const perUnit = units.map(({ residualSquares }) => residualSquares[p]);
  return { squares: total(perUnit), perUnit };
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
