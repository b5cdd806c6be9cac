/**
 * Two transcoders side by side: distributions over shared bins, how far their medians lie apart, and the tokens that both
 * detect.
 * @module
 */
import { randomGenerator } from "../random.ts";
import { type Interval, interval95 } from "./bootstrap.ts";
import type { FeatureRow } from "./feature_rows.ts";
import type { FeatureStatistics } from "./feature_statistics.ts";
import { type Histogram, histogram, median } from "./statistics.ts";
import { tokenBinding } from "./token_binding.ts";

/** A quantity of the features of both transcoders. */
export interface SharedDistribution {
  /** The first's, counted in the same bins as the second's. */
  a: Histogram;
  /** The second's. */
  b: Histogram;
  /** Median of the second less that of the first. */
  difference: number;
  /** 95 % bootstrap interval of the difference, over which features there are. */
  ci95: Interval;
}

/** A token that features of both transcoders detect. */
export interface SharedToken {
  /** Vocabulary id. */
  id: number;
  /** Decoded text. */
  token: string;
  /** The first's token detectors of it. */
  a: number;
  /** Likewise of the second. */
  b: number;
}

/** The token detectors of one transcoder. */
export interface Detectors {
  /** How many features are. */
  features: number;
  /** How many different tokens they detect. */
  tokens: number;
  /** How many features can be judged at all. */
  judged: number;
}

/** What is compared of a transcoder. */
export interface ComparedTranscoder {
  /** Its features. */
  readonly features: readonly FeatureRow[];
  /** Statistics over them. */
  readonly statistics: FeatureStatistics;
  /** The most samples per feature. */
  readonly config: { readonly samples_per_feature: number };
}

/** Two transcoders, a and b, side by side. */
export interface TranscoderComparison {
  /** log10 of the share of tokens on which a feature fires; features that fired. */
  logDensity: SharedDistribution;
  /** log10 of the largest activation of each feature that fired. */
  logMaxActivation: SharedDistribution;
  /** Entropy in bits of the tokens of each feature's top samples; features whose samples are full. */
  tokenEntropy: SharedDistribution;
  /** The token detectors of each. */
  detectors: { a: Detectors; b: Detectors };
  /** Tokens that features of both detect; those shared by most features first. */
  sharedTokens: SharedToken[];
}

function sharedDistribution(a: number[], b: number[], bins: number): SharedDistribution {
  const finite = [...a, ...b].filter(Number.isFinite);
  const low = finite.reduce((least, value) => Math.min(least, value), Infinity);
  const high = finite.reduce((most, value) => Math.max(most, value), -Infinity);
  return {
    ...{ a: histogram(a, bins, low, high), b: histogram(b, bins, low, high) },
    ...medianDifference(a, b),
  };
}

/** Resamples behind an interval, and what separates their draws from other uses of the generator. */
const RESAMPLES = 1000, STREAM = 0x6d656469;

/**
 * How far the medians of two lists lie apart.
 *
 * @param a One.
 * @param b Another one.
 * @returns The second's median less the first's, and its 95 % bootstrap interval over what is in the lists; NaN where one is empty.
 */
export function medianDifference(a: number[], b: number[]): { difference: number; ci95: Interval } {
  const difference = median(b) - median(a);
  if (a.length === 0 || b.length === 0) return { difference, ci95: [NaN, NaN] };
  const random = randomGenerator(0, STREAM, a.length, b.length);
  const drawMedian = (ascending: Float64Array) => {
    const counts = new Uint32Array(ascending.length);
    for (let n = 0; n < counts.length; n++) counts[random.below(counts.length)]++;
    let at = 0;
    for (let passed = counts[0]; 2 * passed < counts.length; passed += counts[at]) at++;
    return ascending[at];
  };
  const first = Float64Array.from(a).sort(), second = Float64Array.from(b).sort();
  const resampled = Float64Array.from({ length: RESAMPLES }, () => drawMedian(second) - drawMedian(first));
  return { difference, ci95: interval95(resampled) };
}

/** Token detectors, by the token's id. */
function detectorsOf(features: readonly FeatureRow[]): Map<number, { token: string; count: number }> {
  const found = new Map<number, { token: string; count: number }>();
  for (const row of features.filter((row) => tokenBinding(row) === "detector")) {
    const entry = found.get(row.main_token_id);
    if (entry) entry.count++;
    else found.set(row.main_token_id, { token: row.main_token, count: 1 });
  }
  return found;
}

function counted(features: readonly FeatureRow[]): Detectors {
  const bindings = features.map(tokenBinding), of = (one: string) => bindings.filter((each) => each === one).length;
  const detectors = of("detector");
  return { features: detectors, tokens: detectorsOf(features).size, judged: detectors + of("mixed") };
}

function sharedTokens(a: readonly FeatureRow[], b: readonly FeatureRow[]): SharedToken[] {
  const inB = detectorsOf(b);
  return [...detectorsOf(a)]
    .filter(([id]) => inB.has(id))
    .map(([id, { token, count }]) => ({ id, token, a: count, b: inB.get(id)!.count }))
    .sort((x, y) => Math.min(y.a, y.b) - Math.min(x.a, x.b) || y.a + y.b - x.a - x.b || x.id - y.id);
}

/** Compares two transcoders. Their tokens say something of each other only where both are of the same model and text. */
export function compareTranscoders(a: ComparedTranscoder, b: ComparedTranscoder): TranscoderComparison {
  const of = (value: (transcoder: ComparedTranscoder) => number[]) => sharedDistribution(value(a), value(b), 30);
  return {
    logDensity: of(({ statistics }) => statistics.strongest.map((row) => Math.log10(row.density))),
    logMaxActivation: of(({ statistics }) => statistics.strongest.map((row) => Math.log10(row.max_activation))),
    tokenEntropy: of(({ features, config }) =>
      features.filter((row) => row.sample_count >= config.samples_per_feature).map((row) => row.token_entropy_bits)
    ),
    detectors: { a: counted(a.features), b: counted(b.features) },
    sharedTokens: sharedTokens(a.features, b.features),
  };
}
