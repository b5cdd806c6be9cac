/**
 * What the samples of a few chosen features say: the tokens on which they peak, with their contexts.
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
}

/** Counts the tokens of a feature's top samples, most frequent first, ties by id. */
export function countTokens(samples: Pick<FeatureSamples, "top">): TokenCount[] {
  const counts = new Map<number, TokenCount>();
  for (const { token_id: id, token } of samples.top) {
    const entry = counts.get(id);
    if (entry) entry.count++;
    else counts.set(id, { id, token, count: 1 });
  }
  return [...counts.values()].sort((a, b) => b.count - a.count || a.id - b.id);
}

/** Reads a stream of samples once and keeps those of the features in `wanted`. */
export async function sampleStatistics(
  stream: AsyncIterable<FeatureSamples>,
  wanted: ReadonlySet<number>,
): Promise<SampleStatistics> {
  const examples = new Map<number, FeatureExample>();
  for await (const samples of stream) {
    if (wanted.has(samples.feature)) examples.set(samples.feature, { ...samples, tokens: countTokens(samples) });
  }
  return { examples };
}
