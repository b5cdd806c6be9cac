/**
 * The tokens that each feature fires on, counted over all tokens of a record.
 * @module
 */

import type { ActivationColumns, RecordedTokens } from "./record.ts";

/** How often a feature fires on a token. */
export interface FiredToken {
  /** Vocabulary id. */
  readonly id: number;
  /** How often. */
  readonly count: number;
}

/** The tokens of one feature. */
export interface TokenProfile {
  /** The commonest, most frequent first, ties by id. */
  readonly tokens: readonly FiredToken[];
  /** Entropy of the tokens' shares in its firings, in bits; NaN where it never fires. */
  readonly entropy: number;
}

/**
 * Counts the tokens of features.
 *
 * @param columns Activations by feature.
 * @param tokens The tokens of the record.
 * @param most How many of the commonest are kept.
 * @param features The features to look at; all if left out.
 * @returns One profile per feature, in the order asked for.
 */
export function tokenProfiles(
  { start, token }: ActivationColumns,
  { id }: Pick<RecordedTokens, "id">,
  most: number,
  features: Iterable<number> = Array(start.length - 1).keys(),
): TokenProfile[] {
  const counts = new Uint32Array(id.reduce((largest, one) => Math.max(largest, one), 0) + 1);
  return Array.from(features, (feature) => {
    const fires = start[feature + 1] - start[feature], found: number[] = [];
    for (let at = start[feature]; at < start[feature + 1]; at++) {
      const one = id[token[at]];
      if (counts[one]++ === 0) found.push(one);
    }
    const entropy = found.reduce((sum, one) => sum - counts[one] / fires * Math.log2(counts[one] / fires), 0);
    const sorted = found.sort((a, b) => counts[b] - counts[a] || a - b);
    const tokens = sorted.slice(0, most).map((id) => ({ id, count: counts[id] }));
    for (const one of found) counts[one] = 0;
    return { tokens, entropy: fires > 0 ? Math.max(0, entropy) : NaN };
  });
}
