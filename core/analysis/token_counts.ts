/**
 * How many tokens of a text count, and how many are left out for what reason.
 * @module
 */

/** Tokens of some text. BOS in front of each context is among them only where it counts, what fills up a context never. */
export interface TokenCounts {
  /** Tokens that count. */
  readonly tokens: number;
  /** Tokens that are left out for their ids. */
  readonly excluded_tokens: number;
}

/** No text. */
export const NO_TOKENS: TokenCounts = { tokens: 0, excluded_tokens: 0 };

/** The counts of two texts together. */
export function addCounts(a: TokenCounts, b: TokenCounts): TokenCounts {
  return { tokens: a.tokens + b.tokens, excluded_tokens: a.excluded_tokens + b.excluded_tokens };
}
