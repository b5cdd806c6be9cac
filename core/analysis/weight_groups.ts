/**
 * What the weights of each Matryoshka group look like: lengths, biases, how far a feature writes what it reads, and how many dimensions its
 * rows really use.
 * @module
 */

import { permutation, randomGenerator } from "../random.ts";
import { unitScales } from "./directions.ts";
import type { FeatureWeights } from "./feature_rows.ts";
import { type Histogram, histogram, moments, summarize, type Summary } from "./statistics.ts";
import { matrixStatistics, rowNorms, type WeightStatistics, weightStatistics } from "./weight_statistics.ts";

/** Separates the pairs that chance makes from other draws. */
const PAIR_STREAM = 0x70616972;

/** How many dimensions some rows use. */
export interface EffectiveRank {
  /**
   * Participation ratio (tr C)^2 / tr C^2 of the covariance C of the rows over features: d where all d dimensions vary alike, 1 where one does.
   */
  readonly participation_ratio: number;
  /** What as many rows in random directions would have: 1 / (1 / width + 1 / rows). */
  readonly of_random: number;
}

/** The weights of some features. */
export interface GroupWeights {
  /** The group; null for the whole dictionary. */
  readonly group: number | null;
  /** Its features. */
  readonly features: number;
  /** |W_enc[:, i]| */
  readonly encoder_norm: Summary;
  /** |W_dec[i]| */
  readonly decoder_norm: Summary;
  /** b_enc[i] */
  readonly encoder_bias: Summary;
  /** Cosine of encoder and decoder of a feature; null where source and target differ in width. */
  readonly alignment: Summary | null;
  /** Standard deviation of that cosine between encoders and decoders of other features of the same group. */
  readonly alignment_by_chance: number | null;
  /** Share of the features whose alignment is above the mean of those by 1.96 standard deviations: 0.025 by chance. */
  readonly along: number | null;
  /** Share of the features whose alignment is as far below. */
  readonly against: number | null;
  /** Dimensions that the encoder's rows use. */
  readonly encoder_rank: EffectiveRank;
  /** Dimensions that the decoder's rows use. */
  readonly decoder_rank: EffectiveRank;
}

/** The weights of a dictionary. */
export interface WeightAnalysis extends WeightStatistics {
  /** The whole dictionary, then each group. */
  readonly groups: readonly GroupWeights[];
}

/** Gives [width, width] the mean of d d^T over the rows d of [rows, width]. */
export type SecondMoment = (rows: Float32Array<ArrayBuffer>, width: number) => Promise<Float64Array>;

/**
 * Analyses the weights of a dictionary.
 *
 * @param weights Its weights for raw activations.
 * @param sizes Features per Matryoshka group.
 * @param secondMoment What multiplies large matrices.
 * @returns Statistics of the tensors, of the dictionary and of each group.
 */
export async function analyzeWeights(
  weights: FeatureWeights & {
    readonly encoder: Float32Array<ArrayBuffer>;
    readonly decoder: Float32Array<ArrayBuffer>;
  },
  sizes: readonly number[],
  secondMoment: SecondMoment,
): Promise<WeightAnalysis> {
  const { encoder, encoderBias, decoder, decoderBias } = weights, features = encoderBias.length;
  const d_in = encoder.length / features, d_out = decoderBias.length;
  const read = unitScales(encoder, d_in), written = unitScales(decoder, d_out);
  const groups: GroupWeights[] = [];
  let end = 0;
  const parts = sizes.map((size, group) => ({ group, first: end, end: end += size }));
  for (const { group, first, end } of [{ group: null, first: 0, end: features }, ...parts]) {
    const count = end - first, members = Array.from({ length: count }, (_, i) => first + i);
    const order = permutation(count, randomGenerator(0, PAIR_STREAM, first, count));
    const rows = (matrix: Float32Array<ArrayBuffer>, width: number) => matrix.subarray(first * width, end * width);
    const aligned = (other: (i: number) => number) =>
      members.map((i) => unitDot(encoder, i, read[i], decoder, other(i - first), written[other(i - first)], d_in));
    const own = d_in === d_out ? aligned((n) => first + n) : null;
    const chance = own && moments(aligned((n) => first + order[n]).filter((_, n) => order[n] !== n));
    const beyond = (side: number) =>
      own && chance && own.filter((value) => side * (value - chance.mean) > 1.96 * chance.std).length / count;
    groups.push({
      ...{ group, features: count },
      encoder_norm: summarize(rowNorms(rows(encoder, d_in), count, d_in)),
      decoder_norm: summarize(rowNorms(rows(decoder, d_out), count, d_out)),
      encoder_bias: summarize(encoderBias.subarray(first, end)),
      alignment: own && summarize(own),
      alignment_by_chance: chance && chance.std,
      along: beyond(1),
      against: beyond(-1),
      encoder_rank: await effectiveRank(rows(encoder, d_in), d_in, secondMoment),
      decoder_rank: await effectiveRank(rows(decoder, d_out), d_out, secondMoment),
    });
  }
  const [encoding, decoding] = [
    matrixStatistics(encoder, features, "width, features"),
    matrixStatistics(decoder, features, "features, width"),
  ];
  return { ...weightStatistics(weights, encoding, decoding), groups };
}

/** The scalar product of row i of one matrix and row j of another, each scaled to unit length as float32 holds it. */
function unitDot(
  a: Float32Array,
  i: number,
  scaleA: number,
  b: Float32Array,
  j: number,
  scaleB: number,
  width: number,
): number {
  if (scaleA === 0 || scaleB === 0) return 0;
  let sum = 0;
  for (let c = 0, at = i * width, from = j * width; c < width; c++, at++, from++) {
    sum += Math.fround(a[at] * scaleA) * Math.fround(b[from] * scaleB);
  }
  return sum;
}

/** The weights of one feature. */
export interface WeightsOfFeature {
  /** The feature. */
  readonly feature: number;
  /** Its Matryoshka group. */
  readonly group: number;
  /** |W_enc[:, i]| */
  readonly encoder_norm: number;
  /** |W_dec[i]| */
  readonly decoder_norm: number;
  /** b_enc[i] */
  readonly encoder_bias: number;
  /** Cosine of what it reads and what it writes; NaN where source and target differ in width. */
  readonly alignment: number;
}

/**
 * Measures the weights of each feature.
 *
 * @param weights The dictionary's weights for raw activations.
 * @param sizes Features per Matryoshka group.
 * @returns All features, in their order.
 */
export function weightsOfFeatures(
  { encoder, encoderBias, decoder, decoderBias }: FeatureWeights,
  sizes: readonly number[],
): WeightsOfFeature[] {
  const features = encoderBias.length, d_in = encoder.length / features, d_out = decoderBias.length;
  const read = rowNorms(encoder, features, d_in), written = rowNorms(decoder, features, d_out);
  return sizes.flatMap((size, group) => new Array<number>(size).fill(group)).map((group, feature) => ({
    ...{ feature, group, encoder_norm: read[feature], decoder_norm: written[feature] },
    encoder_bias: encoderBias[feature],
    alignment: d_in === d_out
      ? dot(encoder, feature * d_in, decoder, feature * d_out, d_in) / (read[feature] * written[feature])
      : NaN,
  }));
}

/** Bins of the histograms of groups. */
const BINS = 20;

/** Features of each group by their weights; the histograms of one kind have the same bins. */
export interface GroupHistograms {
  /** |W_enc[:, i]| */
  readonly encoder_norm: readonly Histogram[];
  /** |W_dec[i]| */
  readonly decoder_norm: readonly Histogram[];
  /** Cosine of what a feature reads and what it writes; null where source and target differ in width. */
  readonly alignment: readonly Histogram[] | null;
}

/**
 * Counts features by their weights.
 *
 * @param features All features.
 * @param groups How many groups they are in.
 * @returns A histogram of each group.
 */
export function groupHistograms(features: readonly WeightsOfFeature[], groups: number): GroupHistograms {
  const counted = (of: (one: WeightsOfFeature) => number) => {
    const { min, max } = moments(features.map(of));
    return Array.from(
      { length: groups },
      (_, group) => histogram(features.filter((one) => one.group === group).map(of), BINS, min, max),
    );
  };
  const isAligned = features.every(({ alignment }) => !Number.isNaN(alignment));
  return {
    encoder_norm: counted(({ encoder_norm }) => encoder_norm),
    decoder_norm: counted(({ decoder_norm }) => decoder_norm),
    alignment: isAligned ? counted(({ alignment }) => alignment) : null,
  };
}

function dot(a: Float32Array, first: number, b: Float32Array, from: number, width: number): number {
  let sum = 0;
  for (let c = 0; c < width; c++) sum += a[first + c] * b[from + c];
  return sum;
}

/**
 * How many dimensions the rows of a matrix use.
 *
 * @param rows [count, width]
 * @param width How wide they are.
 * @param secondMoment What multiplies large matrices.
 * @returns The participation ratio of their covariance, NaN where they do not vary, and what random rows would have.
 */
async function effectiveRank(
  rows: Float32Array<ArrayBuffer>,
  width: number,
  secondMoment: SecondMoment,
): Promise<EffectiveRank> {
  const count = rows.length / width, mean = new Float64Array(width), moment = await secondMoment(rows, width);
  for (let at = 0; at < rows.length; at++) mean[at % width] += rows[at] / count;
  let trace = 0, squares = 0;
  for (let i = 0; i < width; i++) {
    for (let j = 0; j < width; j++) {
      const covariance = moment[i * width + j] - mean[i] * mean[j];
      if (i === j) trace += covariance;
      squares += covariance * covariance;
    }
  }
  return { participation_ratio: trace > 0 ? trace ** 2 / squares : NaN, of_random: 1 / (1 / width + 1 / count) };
}
