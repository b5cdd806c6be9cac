/**
 * The tokens that each feature fires on, counted over all tokens of a record, and those of them that it is known by.
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

/** Tokens that a feature is known by, and those that fire it most that they are chosen from. */
const KNOWN_BY = 3, LOOKED_AT = 30;

/** A token that a feature is known by. */
export interface CharacteristicToken {
  /** Vocabulary id. */
  readonly id: number;
  /** Its share of the feature's firings. */
  readonly share: number;
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

/**
 * Finds the tokens that features are known by: those with the largest share of a feature's firings times the logarithm of that share over the
 * token's share of all tokens.
 *
 * @param columns Activations by feature.
 * @param tokens The tokens of the record.
 * @returns [features] up to three tokens of each, the most characteristic first; none of one that never fires.
 */
export function characteristicTokens(
  columns: ActivationColumns,
  tokens: Pick<RecordedTokens, "id">,
): CharacteristicToken[][] {
  const inText = new Map<number, number>(), all = tokens.id.length;
  for (const id of tokens.id) inText.set(id, (inText.get(id) ?? 0) + 1);
  return tokenProfiles(columns, tokens, LOOKED_AT).map(({ tokens: counted }, feature) => {
    const fires = columns.start[feature + 1] - columns.start[feature];
    const score = ({ id, count }: FiredToken) => count * Math.log(count / fires / (inText.get(id)! / all));
    return counted.toSorted((a, b) => score(b) - score(a) || a.id - b.id).slice(0, KNOWN_BY)
      .map(({ id, count }) => ({ id, share: count / fires }));
  });
}
