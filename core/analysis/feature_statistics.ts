/**
 * Statistics over the features of one transcoder: how strongly, how often and how selectively they fire.
 * @module
 */
import type { FeatureRow } from "./feature_rows.ts";
import { type Histogram, histogram, leastSquares, median, ranks, summarize, type Summary } from "./statistics.ts";

/** One Matryoshka group. */
export interface GroupStatistics {
  /** Index of the group. */
  group: number;
  /** First feature, and the first one after the group. */
  start: number;
  /** One past its last feature; also the prefix that ends with this group. */
  end: number;
  /** Features that never fired in the final pass. */
  dead: number;
  /** Medians over the group's features that fired. */
  medianDensity: number;
  /** Median of the largest activation. */
  medianMaxActivation: number;
  /** Median of |W_enc[:, i]|. */
  medianEncoderNorm: number;
  /** Median entropy in bits of the top samples' tokens, over features whose samples are full; NaN where none's are. */
  medianTokenEntropy: number;
  /** Share of the group in all activations of the final pass. */
  shareOfActivations: number;
}

/** Spearman's correlation of ranks. */
export interface RankCorrelation {
  /** From -1 to 1; NaN for fewer than three features or where all are alike. */
  correlation: number;
  /** What 95 of 100 correlations of unrelated ranks stay within, on either side of 0. */
  chance: number;
}

/** What the features of one transcoder look like together. */
export interface FeatureStatistics {
  /** Tokens of the final pass, from the counts of the most frequent feature; 0 when none fired. */
  passTokens: number;
  /** Features that fired at least once in the final pass. */
  alive: number;
  /** Features with at least one sample. */
  withSamples: number;
  /** Samples kept, all features together. */
  samples: number;
  /** Features whose samples reached the most that are kept. */
  atSampleCap: number;
  /** Summary over alive features of the largest activation. */
  maxActivation: Summary;
  /** Summary over alive features of log10(density). */
  logDensity: Summary;
  /** Summary of the token entropy in bits, over features whose samples are full: n samples have at most log2 n bits. */
  tokenEntropy: Summary;
  /** Summary over alive features of cos(W_enc[:, i], W_dec[i]); count 0 when the widths differ. */
  encoderDecoderCosine: Summary;
  /** Features by the number of samples kept: 20 bins below the cap, and one for the cap itself. */
  sampleHistogram: Histogram;
  /** How strength goes with frequency, over the alive features. */
  strengthAndFrequency: RankCorrelation;
  /** The groups, in order. */
  groups: GroupStatistics[];
  /** Alive features by falling largest activation. */
  strongest: FeatureRow[];
}

/**
 * How features' mean activations go with how often they fire, by ranks within their groups, so that differences between groups
 * play no part. The mean and not the maximum: of more draws from one and the same pool the maximum is larger, the mean is not.
 */
function strengthAndFrequency(alive: readonly FeatureRow[]): RankCorrelation {
  const measured = alive.filter((row) => Number.isFinite(row.mean_activation));
  const groups = [...Map.groupBy(measured, ({ group }) => group).values()];
  // Ranks about the group's middle, as shares of the group: groups of any size say equally much per feature.
  const centred = (value: (row: FeatureRow) => number) =>
    groups.flatMap((rows) => ranks(rows.map(value)).map((rank) => (rank - (rows.length + 1) / 2) / rows.length));
  const { correlation } = leastSquares(centred((row) => row.fires), centred((row) => row.mean_activation));
  return { correlation, chance: 1.96 / Math.sqrt(measured.length - groups.length) };
}

function groupStatistics(
  features: readonly FeatureRow[],
  groups: readonly number[],
  cap: number,
): GroupStatistics[] {
  const allFires = features.reduce((sum, row) => sum + row.fires, 0);
  let end = 0;
  return groups.map((size, group) => {
    const start = end;
    end += size;
    const members = features.slice(start, end);
    const alive = members.filter((row) => !row.dead);
    const medianOf = (value: (row: FeatureRow) => number, rows = alive) =>
      median(rows.map(value).filter(Number.isFinite));
    return {
      group,
      start,
      end,
      dead: members.length - alive.length,
      medianDensity: medianOf((row) => row.density),
      medianMaxActivation: medianOf((row) => row.max_activation),
      medianEncoderNorm: medianOf((row) => row.encoder_norm),
      medianTokenEntropy: medianOf((row) => row.token_entropy_bits, alive.filter((row) => row.sample_count >= cap)),
      shareOfActivations: members.reduce((sum, row) => sum + row.fires, 0) / allFires,
    };
  });
}

/** Counts per bin of `cap / 20` samples; a last bin, as wide, holds exactly those at the cap. */
function sampleHistogram(features: readonly FeatureRow[], cap: number): Histogram {
  const bins = Math.min(20, cap);
  const width = cap / bins;
  return histogram(
    features.map((row) => Math.min(row.sample_count, cap) + width * 1e-6),
    bins + 1,
    0,
    cap + width,
  );
}

/** Statistics over all features of a transcoder. */
export function featureStatistics(
  features: readonly FeatureRow[],
  { groups, samples_per_feature }: { readonly groups: readonly number[]; readonly samples_per_feature: number },
): FeatureStatistics {
  const alive = features.filter((row) => !row.dead);
  const full = features.filter((row) => row.sample_count >= samples_per_feature);
  const finite = (values: number[]) => values.filter(Number.isFinite);
  const strongest = alive
    .filter((row) => row.max_activation > 0 && row.max_activation < Infinity)
    .sort((a, b) => b.max_activation - a.max_activation || a.feature - b.feature);
  const commonest = alive.reduce((best, row) => row.fires > best.fires ? row : best, { fires: 0, density: 1 });
  return {
    passTokens: Math.round(commonest.fires / commonest.density),
    alive: alive.length,
    withSamples: features.filter((row) => row.sample_count > 0).length,
    samples: features.reduce((sum, row) => sum + row.sample_count, 0),
    atSampleCap: full.length,
    maxActivation: summarize(strongest.map((row) => row.max_activation)),
    logDensity: summarize(finite(alive.map((row) => Math.log10(row.density)))),
    tokenEntropy: summarize(finite(full.map((row) => row.token_entropy_bits))),
    encoderDecoderCosine: summarize(finite(alive.map((row) => row.encoder_decoder_cosine))),
    sampleHistogram: sampleHistogram(features, samples_per_feature),
    strengthAndFrequency: strengthAndFrequency(alive),
    groups: groupStatistics(features, groups, samples_per_feature),
    strongest,
  };
}
