/**
 * What is said of the weights of a dictionary.
 * @module
 */

import type { Histogram, Summary } from "../core/analysis/statistics.ts";
import type { EffectiveRank, GroupWeights, WeightAnalysis } from "../core/analysis/weight_groups.ts";
import type { TensorStatistics } from "../core/analysis/weight_statistics.ts";
import { counted, decimal, integer, percent, significant } from "./format.ts";
import { numeric, table } from "./markdown/markdown.ts";

/** The tensors of a transcoder. */
export type TensorName = "W_enc" | "b_enc" | "W_dec" | "b_dec";

/** What is told of a dictionary. */
export interface ToldWeights {
  /** Moments of all elements of each tensor. */
  readonly tensors: Readonly<Record<TensorName, Moments>>;
  /** The whole dictionary, then each group. */
  readonly groups: readonly GroupWeights[];
  /** Elements of W_enc within five standard deviations. */
  readonly encoder_histogram: Histogram;
  /** Lengths of the encoder's rows. */
  readonly encoder_norm_histogram: Histogram;
}

/** Moments of one tensor. */
export interface Moments extends Omit<TensorStatistics, "nonFinite"> {
  /** Elements that are NaN or infinite. */
  readonly non_finite: number;
}

/** What is told of an analysis, in the names of the files. */
export function toldWeights(analysis: WeightAnalysis): ToldWeights {
  const { encoder, encoderBias, decoder, decoderBias, encoderHistogram, encoderNormHistogram, groups } = analysis;
  const told = ({ nonFinite, ...moments }: TensorStatistics): Moments => ({ ...moments, non_finite: nonFinite });
  return {
    tensors: { W_enc: told(encoder), b_enc: told(encoderBias), W_dec: told(decoder), b_dec: told(decoderBias) },
    groups,
    encoder_histogram: encoderHistogram,
    encoder_norm_histogram: encoderNormHistogram,
  };
}

/** All that is printed of one dictionary. */
export function weightsText(analysis: ToldWeights): string {
  return [
    tensorTable(analysis),
    lengthTable(analysis.groups),
    directionTable(analysis.groups),
    weightSentences(analysis).join(" "),
    NOTES,
  ].filter((part) => part !== "").join("\n\n");
}

/** Moments of each tensor. */
export function tensorTable({ tensors }: Pick<ToldWeights, "tensors">): string {
  return table(
    ["Tensor", "Shape", ...["Mean", "Std", "Least", "Largest"].map(numeric)],
    Object.entries(tensors).map(([name, { shape, mean, std, min, max }]) => [
      name,
      shape.map(String).join(" × "),
      ...[mean, std, min, max].map((value) => significant(value, 3)),
    ]),
  );
}

const nameOf = ({ group }: GroupWeights) => group === null ? "all" : String(group);
const ranged = ({ p05, median, p95 }: Summary, written: (value: number) => string) =>
  `${written(median)} (${written(p05)} to ${written(p95)})`;

/** Lengths and biases of each group. */
export function lengthTable(groups: readonly GroupWeights[]): string {
  const three = (value: number) => significant(value, 3);
  return table(
    ["Group", "Features", "Encoder length", "Decoder length", "Encoder bias"].map(numeric),
    groups.map((one) => [
      nameOf(one),
      integer(one.features),
      ...[one.encoder_norm, one.decoder_norm, one.encoder_bias].map((summary) => ranged(summary, three)),
    ]),
  );
}

/** Alignment and dimensions of each group, beside what chance gives. */
export function directionTable(groups: readonly GroupWeights[]): string {
  const two = (value: number) => decimal(value, 2), isAligned = groups.some(({ alignment }) => alignment !== null);
  const headings = ["Encoder dimensions", "Of random rows", "Decoder dimensions", "Of random rows"];
  const ranks = ({ participation_ratio, of_random }: EffectiveRank) =>
    [participation_ratio, of_random].map((value) => decimal(value, 1));
  return table(
    ["Group", ...isAligned ? ["Alignment", "By chance"] : [], ...headings].map(numeric),
    groups.map((one) => [
      nameOf(one),
      ...isAligned ? [ranged(one.alignment!, two), `± ${two(1.96 * one.alignment_by_chance!)}`] : [],
      ...ranks(one.encoder_rank),
      ...ranks(one.decoder_rank),
    ]),
  );
}

/** What follows; each sentence could have been another. */
export function weightSentences({ groups: [whole], tensors }: ToldWeights): string[] {
  const { along, against, decoder_rank: { participation_ratio, of_random } } = whole;
  const broken = Object.values(tensors).reduce((sum, { non_finite }) => sum + non_finite, 0);
  return [
    ...broken > 0 ? [`${counted(broken, "weight")} not finite.`] : [],
    ...along === null || against === null ? [] : [
      `${percent(along)} of the features write along what they read and ${
        percent(against)
      } against it, further than 1.96 standard ` +
      "deviations of chance, which leave 2.5 % on either side.",
    ],
    `The decoder's rows use ${
      decimal(participation_ratio / of_random, 2)
    } times the dimensions of as many random rows.`,
  ];
}

const NOTES =
  "Lengths, biases and alignment: the median over features, and the 5th to the 95th percentile. Alignment: the cosine of what a feature reads " +
  "and what it writes. By chance: 1.96 standard deviations of the cosine between encoders and decoders of different features of the group. Dimensions: the " +
  "participation ratio of the rows' covariance, (tr C)² / tr C². All is of the weights for raw activations, so that lengths depend on their scale.";
