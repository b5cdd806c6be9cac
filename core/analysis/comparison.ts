/**
 * Two transcoders side by side: distributions over shared bins, and the tokens on which features of both peak.
 * @module
 */
import type { FeatureRow } from "./feature_rows.ts";
import type { FeatureStatistics } from "./feature_statistics.ts";
import type { SampleStatistics, TokenCount } from "./sample_statistics.ts";
import { type Histogram, histogram } from "./statistics.ts";

/** A quantity of the features of both transcoders, counted in the same bins. */
export interface SharedHistograms {
  /** The first. */
  a: Histogram;
  /** The second. */
  b: Histogram;
}

/** A token on which features of both transcoders peak. */
export interface SharedToken {
  /** Vocabulary id. */
  id: number;
  /** Decoded text. */
  token: string;
  /** Features of the first whose most frequent top token it is. */
  a: number;
  /** Likewise for the second. */
  b: number;
}

/** How many different tokens the features of one transcoder peak on. */
export interface TokenDiversity {
  /** Different most frequent top tokens. */
  distinct: number;
  /** 2 to the power of the entropy of their distribution: as many equally frequent tokens would be as diverse. */
  effective: number;
  /** Features that have samples. */
  features: number;
}

/** What is compared of a transcoder. */
export interface ComparedTranscoder {
  /** Its features. */
  readonly features: readonly FeatureRow[];
  /** Statistics over them. */
  readonly statistics: FeatureStatistics;
  /** Tokens from their samples. */
  readonly samples: SampleStatistics;
}

/** Two transcoders, a and b, side by side. */
export interface TranscoderComparison {
  /** log10 of the share of tokens on which a feature fires; features that fired. */
  logDensity: SharedHistograms;
  /** Largest activation of each feature that fired. */
  maxActivation: SharedHistograms;
  /** Entropy in bits of the tokens of each feature's top samples. */
  tokenEntropy: SharedHistograms;
  /** Diversity of the most frequent top tokens, of each. */
  diversity: { a: TokenDiversity; b: TokenDiversity };
  /** Tokens that are the most frequent one of features in both; those shared by most features first. */
  sharedTokens: SharedToken[];
  /** Shared tokens divided by the different tokens of either. */
  tokenOverlap: number;
}

function sharedHistograms(a: number[], b: number[], bins: number): SharedHistograms {
  const finite = [...a, ...b].filter(Number.isFinite);
  const low = finite.reduce((least, value) => Math.min(least, value), Infinity);
  const high = finite.reduce((most, value) => Math.max(most, value), -Infinity);
  return { a: histogram(a, bins, low, high), b: histogram(b, bins, low, high) };
}

function diversity(topTokens: TokenCount[]): TokenDiversity {
  const features = topTokens.reduce((sum, { count }) => sum + count, 0);
  const entropy = topTokens.reduce((sum, { count }) => sum - count / features * Math.log2(count / features), 0);
  return { distinct: topTokens.length, effective: features > 0 ? 2 ** entropy : 0, features };
}

function sharedTokens(a: TokenCount[], b: TokenCount[]): SharedToken[] {
  const countInB = new Map(b.map(({ id, count }) => [id, count]));
  return a
    .filter(({ id }) => countInB.has(id))
    .map(({ id, token, count }) => ({ id, token, a: count, b: countInB.get(id)! }))
    .sort((x, y) => Math.min(y.a, y.b) - Math.min(x.a, x.b) || y.a + y.b - x.a - x.b || x.id - y.id);
}

/** Compares two transcoders. Their tokens say something of each other only where both are of the same model and text. */
export function compareTranscoders(a: ComparedTranscoder, b: ComparedTranscoder): TranscoderComparison {
  const logDensity = ({ statistics }: ComparedTranscoder) => statistics.strongest.map((row) => Math.log10(row.density));
  const maxActivation = ({ statistics }: ComparedTranscoder) => statistics.strongest.map((row) => row.max_activation);
  const entropy = ({ features }: ComparedTranscoder) =>
    features.filter((row) => row.sample_count > 0).map((row) => row.token_entropy_bits);
  const shared = sharedTokens(a.samples.topTokens, b.samples.topTokens);
  const different = a.samples.topTokens.length + b.samples.topTokens.length - shared.length;
  return {
    logDensity: sharedHistograms(logDensity(a), logDensity(b), 30),
    maxActivation: sharedHistograms(maxActivation(a), maxActivation(b), 30),
    tokenEntropy: sharedHistograms(entropy(a), entropy(b), 30),
    diversity: { a: diversity(a.samples.topTokens), b: diversity(b.samples.topTokens) },
    sharedTokens: shared,
    tokenOverlap: different > 0 ? shared.length / different : 0,
  };
}
