/**
 * How much of what a feature does can be told from a token alone, from the one before it, or from where in its context it stands.
 *
 * Each is a partition of the tokens, and a feature's activation on a token is predicted by its mean over tokens of the same part. Many tokens are rare, and
 * a mean over the very tokens that it is to predict would seem to explain them: so parts of the text are predicted from the others, in
 * {@link FOLDS} turns, and means of few tokens are drawn towards the mean of all. Whatever has nothing to do with a partition comes to about 0 or below.
 * @module
 */

import { featureCounter, type FeatureProgress } from "./coactivation.ts";
import { columnsOf, contextStarts, type FeatureRecord, type RecordedTokens } from "./record.ts";
import { moments } from "./statistics.ts";

/** Parts of the text, each predicted from the others. */
export const FOLDS = 5;

/** Tokens at the overall mean that are added to each part of a partition. */
const PSEUDO_TOKENS = 1;

/** What activations are predicted from. */
export const PREDICTORS = ["token", "previous", "position"] as const;
/** One of them. */
export type Predictor = typeof PREDICTORS[number];

/** How well a predictor does. */
export interface Explained {
  /** 1 - sum of squared errors / sum of squared errors of the mean, all of parts that the means have not seen. */
  readonly r2: number;
  /** Standard error of the mean over the parts of the text. */
  readonly error: number;
}

/** A partition of the tokens. */
interface Partition {
  /** [tokens] the part of each. */
  readonly part: Uint32Array;
  /** [parts, FOLDS] tokens of each. */
  readonly tokens: Float64Array;
}

/**
 * Measures how well each predictor does for some features.
 *
 * @param record What a dictionary does on a reading set.
 * @param features Which.
 * @param onProgress Hears of the features measured.
 * @returns One per feature, in their order.
 */
export function explainedBy(
  record: FeatureRecord,
  features: readonly number[],
  onProgress?: FeatureProgress,
): Record<Predictor, Explained>[] {
  const count = record.groups.reduce((sum, size) => sum + size, 0), columns = columnsOf(record, count);
  const fold = foldsOf(record),
    inFold = new Float64Array(FOLDS),
    onFeature = featureCounter(features.length, onProgress);
  for (const one of fold) inFold[one]++;
  const predictors = PREDICTORS.map((predictor) => {
    return [predictor, new Explainer(partitionOf(record, predictor, fold), fold, inFold)] as const;
  });
  return features.map((feature) => {
    const [from, end] = [columns.start[feature], columns.start[feature + 1]];
    const token = columns.token.subarray(from, end), value = columns.value.subarray(from, end);
    onFeature();
    return Object.fromEntries(predictors.map(([name, one]) => [name, one.explain(token, value)])) as Record<
      Predictor,
      Explained
    >;
  });
}

/** [tokens] the part of the text that each is predicted in: whole documents, or contexts where those are too few. */
function foldsOf(record: FeatureRecord): Uint8Array {
  const starts = contextStarts(record), fold = new Uint8Array(record.place.length);
  const documents = [...new Set(record.document)], number = new Map(documents.map((document, n) => [document, n]));
  for (let c = 0; c + 1 < starts.length; c++) {
    for (let t = starts[c]; t < starts[c + 1]; t++) {
      fold[t] = (documents.length >= FOLDS ? number.get(record.document[t])! : c) % FOLDS;
    }
  }
  return fold;
}

function partitionOf(record: RecordedTokens, predictor: Predictor, fold: Uint8Array): Partition {
  const { place, id, context } = record, numbers = new Map<number, number>();
  const key = (t: number) => {
    if (predictor === "token") return id[t];
    // A token that is not recorded, as BOS, is none of those that are.
    if (predictor === "previous") {
      return t > 0 && place[t - 1] + 1 === place[t] && place[t] % context > 0 ? id[t - 1] : -1;
    }
    // The first few places tell apart what the later ones do not: 1, 2, 3 and 4, 5 to 8 and so on.
    return Math.ceil(Math.log2(Math.max(0.5, place[t] % context)));
  };
  const part = Uint32Array.from(id, (_, t) => {
    const one = key(t), number = numbers.get(one) ?? numbers.size;
    numbers.set(one, number);
    return number;
  });
  const tokens = new Float64Array(numbers.size * FOLDS);
  part.forEach((one, t) => tokens[one * FOLDS + fold[t]]++);
  return { part, tokens };
}

/** Predicts by one partition, feature after feature. */
class Explainer {
  readonly #partition: Partition;
  readonly #fold: Uint8Array;
  readonly #inFold: Float64Array;
  /** [parts] tokens of each. */
  readonly #whole: Float64Array;
  /** [FOLDS] sum over parts of n / (m + 1)^2, n being its tokens in the fold and m those in the others. */
  readonly #base: Float64Array;
  /** [parts, FOLDS] the sums of the feature at hand, and which parts have any; zeros between features. */
  readonly #sums: Float64Array;
  readonly #isTouched: Uint8Array;

  constructor(partition: Partition, fold: Uint8Array, inFold: Float64Array) {
    const { tokens } = partition, parts = tokens.length / FOLDS;
    this.#partition = partition;
    this.#fold = fold;
    this.#inFold = inFold;
    this.#whole = Float64Array.from({ length: parts }, (_, v) => {
      return tokens.subarray(v * FOLDS, (v + 1) * FOLDS).reduce((sum, n) => sum + n, 0);
    });
    this.#base = new Float64Array(FOLDS);
    this.#sums = new Float64Array(tokens.length);
    this.#isTouched = new Uint8Array(parts);
    for (let v = 0; v < parts; v++) {
      for (let k = 0; k < FOLDS; k++) this.#base[k] += tokens[v * FOLDS + k] / this.#others(v, k) ** 2;
    }
  }

  /** Tokens of a part in the other folds, and those added. */
  #others(v: number, k: number): number {
    return this.#whole[v] - this.#partition.tokens[v * FOLDS + k] + PSEUDO_TOKENS;
  }

  explain(token: Uint32Array, value: Float32Array): Explained {
    const { part, tokens } = this.#partition, fold = this.#fold, sums = this.#sums, touched: number[] = [];
    const inFold = new Float64Array(FOLDS), squares = new Float64Array(FOLDS);
    for (let n = 0; n < token.length; n++) {
      const v = part[token[n]], k = fold[token[n]];
      if (this.#isTouched[v] === 0) touched.push(v);
      this.#isTouched[v] = 1;
      sums[v * FOLDS + k] += value[n];
      inFold[k] += value[n];
      squares[k] += value[n] * value[n];
    }
    const total = inFold.reduce((sum, one) => sum + one, 0), all = this.#fold.length;
    const wholes = touched.map((v) => {
      let whole = 0;
      for (let k = 0; k < FOLDS; k++) whole += sums[v * FOLDS + k];
      return whole;
    });
    let left = 0, varied = 0;
    const each: number[] = [];
    for (let k = 0; k < FOLDS; k++) {
      if (this.#inFold[k] === 0) continue;
      const mean = (total - inFold[k]) / (all - this.#inFold[k]);
      // Where nothing of the feature is seen, the prediction is the mean's part alone.
      let error = squares[k] + this.#base[k] * (PSEUDO_TOKENS * mean) ** 2;
      for (let n = 0; n < touched.length; n++) {
        const v = touched[n], at = v * FOLDS + k, others = this.#others(v, k), here = tokens[at], own = sums[at];
        const predicted = (wholes[n] - own + PSEUDO_TOKENS * mean) / others;
        error += here * predicted ** 2 - 2 * own * predicted - here * (PSEUDO_TOKENS * mean / others) ** 2;
      }
      const ofMean = squares[k] - 2 * mean * inFold[k] + this.#inFold[k] * mean ** 2;
      left += error;
      varied += ofMean;
      each.push(1 - error / ofMean);
    }
    for (const v of touched) {
      sums.fill(0, v * FOLDS, (v + 1) * FOLDS);
      this.#isTouched[v] = 0;
    }
    const { std } = moments(each);
    return { r2: varied > 0 ? 1 - left / varied : NaN, error: std / Math.sqrt(each.length - 1) };
  }
}
