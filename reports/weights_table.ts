/**
 * What is said of the weights of a dictionary.
 * @module
 */

import type { SimilarRows } from "../core/analysis/similar_rows.ts";
import type { Histogram, Summary } from "../core/analysis/statistics.ts";
import type { EffectiveRank, GroupWeights, WeightAnalysis } from "../core/analysis/weight_groups.ts";
import type { TensorStatistics } from "../core/analysis/weight_statistics.ts";
import { counted, decimal, integer, known, percent, significant } from "./format.ts";
import { numeric, table } from "./markdown/markdown.ts";
import { rebinned, sparkline } from "./sparkline.ts";

/** The tensors of a transcoder. */
export type TensorName = "W_enc" | "b_enc" | "W_dec" | "b_dec";

/** What is told of a dictionary. */
export interface ToldWeights {
  /** Moments of all elements of each tensor. */
  readonly tensors: Readonly<Record<TensorName, Moments>>;
  /** The whole dictionary, then each group. */
  readonly groups: readonly GroupWeights[];
  /** Elements of each tensor within five standard deviations. */
  readonly histograms: Readonly<Record<TensorName, Histogram>>;
  /** Lengths of the encoder's rows. */
  readonly encoder_norm_histogram: Histogram;
  /** Rows that are alike; only there where all pairs were compared. */
  readonly similar?: { readonly decoder: SimilarRows; readonly encoder: SimilarRows };
}

/** Characters of a histogram: bins of half a standard deviation. */
const LINE = 20;

/** Pairs that a reader is shown. */
const SHOWN = 10;

/** Moments of one tensor. */
export interface Moments extends Omit<TensorStatistics, "nonFinite"> {
  /** Elements that are NaN or infinite. */
  readonly non_finite: number;
}

/** What is told of an analysis, in the names of the files. */
export function toldWeights(analysis: WeightAnalysis, similar?: ToldWeights["similar"]): ToldWeights {
  const { encoder, encoderBias, decoder, decoderBias, encoderNormHistogram, groups } = analysis;
  const told = ({ nonFinite, ...moments }: TensorStatistics): Moments => ({ ...moments, non_finite: nonFinite });
  return {
    tensors: { W_enc: told(encoder), b_enc: told(encoderBias), W_dec: told(decoder), b_dec: told(decoderBias) },
    groups,
    histograms: {
      W_enc: analysis.encoderHistogram,
      b_enc: analysis.encoderBiasHistogram,
      W_dec: analysis.decoderHistogram,
      b_dec: analysis.decoderBiasHistogram,
    },
    encoder_norm_histogram: encoderNormHistogram,
    ...similar && { similar },
  };
}

/** All that is printed of one dictionary. */
export function weightsText(analysis: ToldWeights): string {
  const { similar, groups } = analysis;
  return [
    tensorTable(analysis),
    lengthTable(groups),
    directionTable(groups),
    ...similar ? [similarBandTable(similar), "Nearest rows:", similarTable(similar), similarNote(similar)] : [],
    weightSentences(analysis).join(" "),
    WEIGHT_NOTES,
  ].filter((part) => part !== "").join("\n\n");
}

/** Moments of each tensor. */
export function tensorTable({ tensors, histograms }: Pick<ToldWeights, "tensors" | "histograms">): string {
  return table(
    ["Tensor", "Shape", ...["Mean", "Std", "Least", "Largest"].map(numeric), "Mean ± 5 std"],
    (Object.keys(tensors) as TensorName[]).map((name) => {
      const { shape, mean, std, min, max } = tensors[name];
      return [
        name,
        shape.map(String).join(" × "),
        ...[mean, std, min, max].map((value) => significant(value, 3)),
        sparkline(rebinned(histograms[name].counts, LINE)),
      ];
    }),
  );
}

/** Pairs of rows in the bands of the original project. */
export function similarBandTable({ decoder, encoder }: NonNullable<ToldWeights["similar"]>): string {
  const columns = [decoder.bands, decoder.bands_by_chance, encoder.bands, encoder.bands_by_chance];
  return table(
    ["Cosine of two rows", ...["Decoder: pairs", "By chance", "Encoder: pairs", "By chance"].map(numeric)],
    decoder.bands.map(({ least }, band) => [
      `≥ ${decimal(least, 2)}`,
      ...columns.map((bands) => integer(bands[band].pairs)),
    ]),
  );
}

/** The pairs of rows with the largest cosines, the decoder's before the encoder's. */
export function similarTable({ decoder, encoder }: NonNullable<ToldWeights["similar"]>): string {
  const rows = (name: string, { pairs }: SimilarRows) =>
    pairs.slice(0, SHOWN).map(({ a, b, cosine, l2 }) => [
      name,
      ...[a, b].map(String),
      decimal(cosine, 3),
      significant(l2, 3),
    ]);
  return table(["Rows of", ...["Feature", "Other", "Cosine", "L2 distance"].map(numeric)], [
    ...rows("W_dec", decoder),
    ...rows("W_enc", encoder),
  ]);
}

/** How far apart any two rows are, to hold the nearest against. */
export function similarNote({ decoder, encoder }: NonNullable<ToldWeights["similar"]>): string {
  const any = ({ l2_of_any }: SimilarRows) => ranged(l2_of_any, (value) => significant(value, 3));
  return `Two rows drawn at random are ${any(decoder)} apart in W_dec, ${any(encoder)} in W_enc.`;
}

const nameOf = ({ group }: GroupWeights) => group === null ? "all" : String(group);
/** A dash where there is nothing to summarise. */
const ranged = ({ p05, median, p95 }: Summary, written: (value: number) => string) =>
  known(median, (median) => `${written(median)} (${written(p05)} to ${written(p95)})`);

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
    [participation_ratio, of_random].map((value) => known(value, (value) => decimal(value, 1)));
  return table(
    ["Group", ...isAligned ? ["Alignment", "By chance"] : [], ...headings].map(numeric),
    groups.map((one) => [
      nameOf(one),
      ...isAligned
        ? [ranged(one.alignment!, two), known(1.96 * one.alignment_by_chance!, (value) => `± ${two(value)}`)]
        : [],
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
    ...along === null || against === null || !Number.isFinite(along) ? [] : [
      `${percent(along)} of the features write along what they read and ${
        percent(against)
      } against it, further than 1.96 standard ` +
      "deviations of chance, which leave 2.5 % on either side.",
    ],
    ...Number.isFinite(participation_ratio / of_random)
      ? [
        `The decoder's rows use ${
          decimal(participation_ratio / of_random, 2)
        } times the dimensions of as many random rows.`,
      ]
      : [],
  ];
}

/** What the columns mean. */
export const WEIGHT_NOTES: string =
  "Lengths, biases and alignment: the median over features, and the 5th to the 95th percentile. Alignment: the cosine of what a feature reads " +
  "and what it writes. By chance: 1.96 standard deviations of the cosine between encoders and decoders of different features of the group. Dimensions: the " +
  "participation ratio of the rows' covariance, (tr C)² / tr C². Pairs by chance: of as many random directions with the same second moment. All is of the weights for raw activations, so that lengths depend on their scale.";
