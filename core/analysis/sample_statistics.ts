/**
 * What the samples of a transcoder say: the tokens on which features peak, and the contexts of a few chosen features.
 * @module
 */

/** One activation of one feature with the text around it, as decoded, unescaped. */
export interface Sample {
  /** Value of the feature. */
  activation: number;
  /** Vocabulary id of the active token. */
  token_id: number;
  /** Text of the active token. */
  token: string;
  /** Text of the tokens before it in its context. */
  before: string;
  /** Text of the tokens after it. */
  after: string;
  /** Name of its document. */
  document: string;
  /** Token offset in that document. */
  position: number;
}

/** The samples of one feature. */
export interface FeatureSamples {
  /** Index in the dictionary. */
  feature: number;
  /** Index of its Matryoshka group. */
  group: number;
  /** Activations above the threshold in the final pass. */
  fires: number;
  /** The strongest activations, strongest first. */
  top: Sample[];
  /** Activations nearest to quantiles of all its activations. */
  quantiles: (Sample & { quantile: number })[];
}

/** A token and how often it was counted. */
export interface TokenCount {
  /** Vocabulary id. */
  id: number;
  /** Decoded text. */
  token: string;
  /** Occurrences. */
  count: number;
}

/** A chosen feature's samples with the tokens of its top samples, most frequent first. */
export interface FeatureExample extends FeatureSamples {
  /** Tokens of the top samples, most frequent first, ties by id. */
  tokens: TokenCount[];
}

/** What one reading of samples.jsonl yields. */
export interface SampleStatistics {
  /** The chosen features, by feature index. */
  examples: Map<number, FeatureExample>;
  /** For each token, the number of features whose most frequent top token it is; most features first. */
  topTokens: TokenCount[];
  /** Features that have samples. */
  featuresWithSamples: number;
}

/** Counts the tokens of a feature's top samples, most frequent first, ties by id. */
export function countTokens(samples: Pick<FeatureSamples, "top">): TokenCount[] {
  const counts = new Map<number, TokenCount>();
  for (const { token_id: id, token } of samples.top) {
    const entry = counts.get(id);
    if (entry) entry.count++;
    else counts.set(id, { id, token, count: 1 });
  }
  return [...counts.values()].sort(byCount);
}

function byCount(a: TokenCount, b: TokenCount): number {
  return b.count - a.count || a.id - b.id;
}

/** Reads a stream of samples once; keeps the samples of the features in `wanted` and counts for the others. */
export async function sampleStatistics(
  stream: AsyncIterable<FeatureSamples>,
  wanted: ReadonlySet<number>,
): Promise<SampleStatistics> {
  const examples = new Map<number, FeatureExample>();
  const topTokens = new Map<number, TokenCount>();
  let featuresWithSamples = 0;
  for await (const samples of stream) {
    const tokens = countTokens(samples);
    if (wanted.has(samples.feature)) examples.set(samples.feature, { ...samples, tokens });
    if (tokens.length === 0) continue;
    featuresWithSamples++;
    const [{ id, token }] = tokens;
    const entry = topTokens.get(id);
    if (entry) entry.count++;
    else topTokens.set(id, { id, token, count: 1 });
  }
  return { examples, topTokens: [...topTokens.values()].sort(byCount), featuresWithSamples };
}
